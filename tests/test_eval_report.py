"""The harness from suite to report: files out, no text of the data in them, the same bytes again, errors that help."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner

from eval import readme_table, report
from eval.__main__ import main
from eval.suite import SUITES, read_rows

pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra 'dev')")
SECRET = "zymurgist"  # stands in every text below and must not stand in a report


def invoke(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A labelled file of a user: 60 human texts by three kinds of writer and 12 spun ones with their originals."""
    folder = tmp_path_factory.mktemp("user")
    rows = []
    for i in range(60):
        kind = ("<b>clerks</b>", "poets | others", "sailors")[i % 3]
        rows.append({"id": f"h{i}", "text": f"The {SECRET} sails at dawn, number {i}, as ever.", "label": "human",
                     "writer": kind, "domain": "sea"})  # fmt: skip
    for i in range(12):
        rows.append({"id": f"s{i}", "text": f"The {SECRET} cruises at daybreak, numeral {i}, as ever.", "label": 1,
                     "tool": "cruiser", "original": f"The {SECRET} sails at dawn, number {i}, as ever.",
                     "spun_share": i / 12})  # fmt: skip
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def scores(labelled, tmp_path_factory):
    """Probabilities of two systems: `ours` finds three quarters, `flat` knows nothing."""
    path = tmp_path_factory.mktemp("scores") / "scores.jsonl"
    with path.open("w") as out:
        for number, row in enumerate(read_rows(labelled)):
            spun = row["label"] == 1
            value = (0.99 if number % 4 else 0.1) if spun else number % 20 / 100
            out.write(json.dumps({"id": row["id"], "system": "ours", "probability": value}) + "\n")
            out.write(json.dumps({"id": row["id"], "system": "flat", "score": 0.0}) + "\n")
    return path


@pytest.fixture(scope="module")
def written(labelled, scores, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    done = invoke("run", labelled, "--scores", scores, "--data", out / "none", "--out", out)
    assert done.exit_code == 0, done.output
    return out


def test_numbers_of_a_labelled_file_with_scores(written):
    m = json.loads((written / "metrics.json").read_text(encoding="utf-8"))
    ours, flat = m["systems"]["ours"], m["systems"]["flat"]
    assert m["texts"] == {"original": 60, "spun": 12}
    assert ours["spun"]["flagged"]["balanced"]["value"] == 0.75
    assert ours["spun"]["flagged"]["0.05"]["value"] == 0.75
    assert ours["human"]["flagged"]["balanced"]["value"] == 0.0
    assert flat["ranking"]["auroc"]["value"] == 0.5
    assert flat["operating_points"] == {}
    assert flat["calibration"] is None
    assert [e["texts"] for e in ours["slices"]["human"]["writer"]] == [20, 20, 20]
    assert "--train-ids" not in m["overlap"]["why"]  # there are no tables at all to compare with


def test_every_table_has_a_signature_and_every_rate_its_n(written):
    text = (written / "report.md").read_text(encoding="utf-8")
    full = text[text.index("## ours in full") :]
    tables = len(re.findall(r"^\| --- \|", full, flags=re.M))
    assert full.count("`detect-spin|system:ours|") == tables > 8
    for head in re.findall(r"^(\|.*)\n\| --- \|", full, flags=re.M):
        assert "texts" in head


def test_reports_hold_no_text_and_are_the_same_bytes_again(labelled, scores, written, tmp_path):
    done = invoke("run", labelled, "--scores", scores, "--data", tmp_path / "none", "--out", tmp_path / "again")
    assert done.exit_code == 0, done.output
    names = sorted(p.name for p in written.iterdir())
    assert {"report.md", "report.html", "metrics.json", "roc.png", "heat-map.png", "scores.png"} <= set(names)
    for name in names:
        content = (written / name).read_bytes()
        assert content == (tmp_path / "again" / name).read_bytes(), name
        assert SECRET.encode() not in content
        assert not name.endswith(".png") or len(content) < 80_000


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href")]


def test_the_page_is_self_contained_and_escapes_names(written):
    text = (written / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "&lt;b&gt;clerks&lt;/b&gt;" in text
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "default-src &#x27;none&#x27;" in text
    markdown = (written / "report.md").read_text(encoding="utf-8")
    assert "<b>" not in markdown
    assert r"poets \| others" in markdown


def test_the_suite_of_own_texts_runs_from_a_bare_clone_and_repeats_itself(tmp_path):
    done = invoke("run", "own", "--data", tmp_path / "none", "--out", tmp_path / "a")
    assert done.exit_code == 0, done.output
    m = json.loads((tmp_path / "a" / "metrics.json").read_text(encoding="utf-8"))
    assert m["texts"]["original"] >= 24
    ours = m["systems"]["ours"]
    whole = next(e for e in ours["slices"]["spun"]["share"] if e["set"].startswith("80"))
    assert whole["flagged"]["sensitive"]["value"] > 0.5  # a heavily spun text of our own is found
    assert ours["human"]["flagged"]["strict"]["value"] < 0.05  # one of 28, legal prose: see tests/cases/known_failures
    pair = ours["spans"]["pairs"][0]
    assert pair["phrase_precision"]["value"] > 0.5
    again = invoke("run", "own", "--data", tmp_path / "none", "--out", tmp_path / "b")
    assert again.exit_code == 0, again.output
    for name in ("metrics.json", "report.md", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_committed_spun_texts_are_those_that_the_script_makes():
    from eval.make_own import spin_all

    assert spin_all() == read_rows(SUITES / "own" / "spun.jsonl")


def test_changed_data_stop_the_run_unless_told_to_go_on(tmp_path, scores, labelled):
    suite = tmp_path / "small.toml"
    (tmp_path / "rows.jsonl").write_bytes(labelled.read_bytes())
    suite.write_text('protocol = "fixed"\n[[files]]\npath = "rows.jsonl"\nsha256 = "0123456789abcdef"\n')
    arguments = ["run", suite, "--scores", scores, "--data", tmp_path, "--no-pictures", "--out", tmp_path / "out"]
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert "rows.jsonl" in done.output
    assert "--changed-data" in done.output
    assert invoke(*arguments, "--changed-data").exit_code == 0
    assert "Not the pinned data: rows.jsonl" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "1 digests rewritten" in invoke("pin", suite, "--data", tmp_path).output
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output


def test_texts_that_stand_in_training_are_left_out(tmp_path, labelled, scores):
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    data = tmp_path / "data"
    (data / "human").mkdir(parents=True)
    filler = " ".join(f"word{i}" for i in range(40))
    reprint = {"id": "r", "text": f"{filler} and so it went on to the end", "label": "human", "writer": "sailors"}
    pq.write_table(pa.table({"id": ["t"], "text": [f"A head. {filler} and so it went."]}), data / "human" / "x.parquet")
    rows = [*read_rows(labelled), reprint]
    path = tmp_path / "more.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    more = tmp_path / "more-scores.jsonl"
    more.write_text(scores.read_text() + json.dumps({"id": "r", "system": "ours", "probability": 0.0}) + "\n"
                    + json.dumps({"id": "r", "system": "flat", "score": 0.0}) + "\n")  # fmt: skip
    arguments = ["run", path, "--scores", more, "--data", data, "--no-pictures", "--out", tmp_path / "out"]
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    m = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert m["overlap"]["above_limit"] == m["left_out"]["overlapping_training"] == 1
    assert m["texts"]["original"] == 60
    assert m["overlap"]["by_size"]["13"]["largest_share"] > 0.5


def small_tables(folder):
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    pytest.importorskip("datasets", reason="train.corpora reads tables through datasets (extra 'dev')")
    human = {"human/dailymail_2020": 60, "human/bbc_2004": 20, "human/reuters_1987": 20}
    for table in (*human, "spun/spinbot_news", "spun/quillbot_pairs", "spun/wild"):
        path = folder / f"{table}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        verb, end = ("sails", "the old pier") if table in human else ("cruises", "the elderly jetty")
        rows = [
            {"id": f"{table}/{i}", "source": f"page {i}", "title": f"{table} {i}", "original_title": f"{table} {i}",
             "found_by": "", "artefacts": "", "text": f"{SECRET} {verb} number {i} {table} past {end}."}
            for i in range(human.get(table, 9))
        ]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), path)
    (folder / "lexicon").mkdir()
    (folder / "lexicon" / "tortured_phrases.tsv").write_text("spun\texpected\nelderly jetty\told pier\n", "utf-8")
    names = "".join(f'"{t}" = ""\n' for t in (*human, "spun/spinbot_news", "spun/quillbot_pairs", "spun/wild"))
    suite = folder / "small.toml"
    suite.write_text(f'protocol = "leave-one-tool-out"\nthreshold_unit = "table"\n[tables]\n{names}')
    return suite


def test_a_trained_protocol_on_small_tables(tmp_path):
    """Two systems trained per round, overlap of each round looked at, scores written and read back to the same."""
    suite = small_tables(tmp_path)
    common = ["--data", tmp_path, "--quick", "--no-pictures"]
    saved = tmp_path / "saved.parquet"
    done = invoke("run", suite, "--system", "tortured,association", *common, "--out", tmp_path / "a",
                  "--save-scores", saved)  # fmt: skip
    assert done.exit_code == 0, done.output
    m = json.loads((tmp_path / "a" / "metrics.json").read_text(encoding="utf-8"))
    assert list(m["systems"]) == ["tortured", "association"]
    assert len(m["rounds"]) == 6
    assert all(e["ranking"]["auroc"]["value"] == 1.0 for e in m["systems"]["tortured"]["sets"]["spun"])
    assert m["overlap"]["texts"] > 0
    assert SECRET not in (tmp_path / "a" / "report.md").read_text(encoding="utf-8")
    done = invoke("run", suite, "--scores", saved, *common, "--out", tmp_path / "b")
    assert done.exit_code == 0, done.output
    again = json.loads((tmp_path / "b" / "metrics.json").read_text(encoding="utf-8"))
    for name in m["systems"]:
        assert again["systems"][name]["sets"] == m["systems"][name]["sets"]
        assert again["systems"][name]["ranking"] == m["systems"][name]["ranking"]


def test_a_leak_between_tables_is_found_and_left_out(tmp_path):
    """A spun text stands, under other heads, in human rows of other groups: only the n-grams show it."""
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    suite = small_tables(tmp_path)
    leaked = pq.read_table(tmp_path / "spun/wild.parquet").to_pylist()[3]
    path = tmp_path / "human/dailymail_2020.parquet"
    rows = pq.read_table(path).to_pylist()
    for i in range(8):  # several, so that some are in training whatever fold the text is in
        rows[i]["text"] = f"Readers wrote {i}: {leaked['text']}"
    pq.write_table(pa.Table.from_pylist(rows), path)
    done = invoke("run", suite, "--system", "tortured", "--data", tmp_path, "--quick", "--no-pictures",
                  "--out", tmp_path / "a")  # fmt: skip
    assert done.exit_code == 0, done.output
    m = json.loads((tmp_path / "a" / "metrics.json").read_text(encoding="utf-8"))
    found = m["overlap"]["by_set"]
    assert found["spun/wild"]["above_limit"] == found["spun/wild"]["by_size"]["8"]["texts_with_any"] == 1
    assert found["spun/quillbot_pairs"]["by_size"]["8"]["texts_with_any"] == 0
    assert next(e for e in m["systems"]["tortured"]["sets"]["spun"] if e["set"] == "spun/wild")["texts"] == 8
    said = (tmp_path / "a" / "report.md").read_text(encoding="utf-8")
    assert re.search(r"\| spun/wild \| 9 \| 11\.1 \|.* \| 1 \|", said)


def test_baselines_beside_a_score_file_are_judged_on_its_texts(tmp_path):
    """Scores of one round: a baseline is trained in that round alone, and scores those texts and no others."""
    suite = small_tables(tmp_path)
    common = ["--data", tmp_path, "--quick", "--no-pictures"]
    done = invoke("run", suite, "--system", "tortured", *common, "--out", tmp_path / "a", "--save-scores",
                  tmp_path / "all.parquet")  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = [r for r in read_rows(tmp_path / "all.parquet") if r["round"] == "wild-1"]
    one = tmp_path / "one.jsonl"
    one.write_text("".join(json.dumps({**r, "system": "ours"}) + "\n" for r in rows), encoding="utf-8")
    done = invoke("run", suite, "--scores", one, "--system", "association", *common, "--out", tmp_path / "b")
    assert done.exit_code == 0, done.output
    m = json.loads((tmp_path / "b" / "metrics.json").read_text(encoding="utf-8"))
    assert m["systems"]["ours"]["rounds"] == m["systems"]["association"]["rounds"] == ["wild-1"]
    assert m["left_out"]["not_scored_by_all_systems"] == 0
    assert sum(m["texts"].values()) == len(rows)
    assert [r["left_out"] for r in m["rounds"]] == ["wild"]
    one.write_text("".join(json.dumps({**r, "round": "wild-7"}) + "\n" for r in rows), encoding="utf-8")
    done = invoke("run", suite, "--scores", one, "--system", "association", *common, "--out", tmp_path / "c")
    assert done.exit_code == 2
    assert "wild-7" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "no-such-suite"], "existing: "),
        (["run", "nowhere/mine.jsonl"], "no such file"),
        (["run", "own", "--system", "wishful"], "unknown system 'wishful'"),
        (["run", "known-tool", "--data", "/nonexistent"], "--data"),
    ],
)
def test_errors_say_what_to_do(arguments, message):
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_digest_depends_on_bytes_and_names(tmp_path):
    for name, content in [("human/a", b"1"), ("human/b", b"1"), ("human/c", b"2")]:
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    digests = {report.digest_tables(tmp_path, [f"human/{x}"]) for x in "abc"}
    assert len(digests) == 3
    assert report.digest_tables(tmp_path, ["human/a", "human/b"]) == report.digest_tables(
        tmp_path, ["human/b", "human/a"]
    )


def test_committed_pictures_are_small():
    pictures = list((readme_table.REPORTS).glob("*/*.png"))
    assert all(p.stat().st_size < 80_000 for p in pictures), [p for p in pictures if p.stat().st_size >= 80_000]
