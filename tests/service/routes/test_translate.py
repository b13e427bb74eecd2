"""What POST /translate answers; a decoder that knows a few words stands in for a model."""

import json

import numpy as np
import pytest

from tests.service.translating import translator


@pytest.fixture
def english():
    return translator()


@pytest.fixture
def client(translating, english):
    return translating(english)


def translate(client, q, **fields):
    """The answer's JSON, which must be a success."""
    answer = client.post("/translate", json={"q": q, "source": "en", "target": "it", **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def refusal(client, body, status=400):
    """Pointer -> message. Whatever is wrong, LibreTranslate's clients find `error`."""
    answer = client.post("/translate", content=body if isinstance(body, bytes) else json.dumps(body))
    told = answer.json()
    assert (answer.status_code, told["status"]) == (status, status), answer.text
    assert answer.headers["content-type"] == "application/json"
    faults = {fault["pointer"]: fault["message"] for fault in told["errors"]}
    assert told["error"]
    assert all(message in told["error"] for message in faults.values())
    return faults


def test_a_text_gives_a_text_and_an_array_an_array(client):
    assert translate(client, "Hello world") == {"translatedText": "Ciao mondo"}
    assert translate(client, ["Hello", "the cat"]) == {"translatedText": ["Ciao", "il gatto"]}
    assert translate(client, ["Hello"]) == {"translatedText": ["Ciao"]}
    assert translate(client, []) == {"translatedText": []}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello world.  The cat!\n\n\tGood morning \r\n", "Ciao mondo.  Il gatto!\n\n\tBuono mattino \r\n"),
        ("1. hello\n2. the cat\n  - world", "1. ciao\n2. il gatto\n  - mondo"),
        ("HELLO WORLD!", "CIAO MONDO!"),
        ("The Old Cat and the Good Dog", "Il old Gatto and il Buono dog"),
        ("Hello 😀 world 👍", "Ciao 😀 mondo 👍"),
        ("Hello www.example.org", "Ciao www.example.org"),
        ("Hello Łukasz, the cat", "Ciao Łukasz, il gatto"),
        ("", ""),
        (" \n\t ", " \n\t "),
        ("😀👍", "😀👍"),
        ("12.5 %", "12.5 %"),
        ("\x00\x1b[0m", "\x00\x1b[0m"),
        ("The cat 1995, 25 world!", "Il gatto 1995, 25 mondo!"),
        ("The cat 3 world 12", "Il gatto 3 mondo 12"),
        ("</s> hello <unk>", "</s> ciao <unk>"),
    ],
)
def test_what_is_not_translated_stays_where_it_was(client, text, expected):
    assert translate(client, text) == {"translatedText": expected}
    assert translate(client, [text, "cat", text]) == {"translatedText": [expected, "gatto", expected]}


def test_a_long_text_is_whole_and_in_order(client):
    text = "".join(f"Hello the cat {number}.\n" for number in range(3000))
    expected = "".join(f"Ciao il gatto {number}.\n" for number in range(3000))
    assert translate(client, text) == {"translatedText": expected}


def test_the_same_sentence_is_decoded_once(client, english):
    translate(client, ["Hello world. Hello world. The cat", "The cat", "hello world."])
    assert [sorted(asked) for asked in english.decoder.asked] == [["Hello world.", "The cat."]]


@pytest.mark.parametrize("text", ["Привет, мир", "你好", "x" * 90_000, "مرحبا Hi", "Ł" * 50])
def test_a_text_that_the_model_cannot_spell_is_refused(client, text):
    body = {"q": text, "source": "en", "target": "it"}
    assert refusal(client, body)["/q"].startswith("expected text in English, came ")
    assert list(refusal(client, {**body, "q": ["hello", text, "cat", text]})) == ["/q/1", "/q/3"]


@pytest.mark.parametrize(
    "how",
    [
        {"json": {"q": "Hello", "source": "en", "target": "it"}},
        {"data": {"q": "Hello", "source": "en", "target": "it"}},
        {"data": {"q": "Hello", "source": "en", "target": "it", "format": "text", "api_key": ""}},
        {"params": {"q": "Hello", "source": "en", "target": "it", "api_key": "x"}},
        {"params": {"source": "en"}, "data": {"q": "Hello", "target": "it"}},
        {"params": {"source": "en"}, "json": {"q": "Hello", "target": "it"}},
        {"files": {"q": (None, "Hello"), "source": (None, "en"), "target": (None, "it")}},
        {"content": '{"q": "Hello", "source": "en", "target": "it"}'},
        {
            "content": ' {"q": "Hello", "source": "en", "target": "it"}',
            "headers": {"content-type": "application/x-www-form-urlencoded"},
        },
    ],
    ids=lambda how: "+".join(how),
)
def test_the_fields_may_come_in_any_form(client, how):
    assert client.post("/translate", **how).json() == {"translatedText": "Ciao"}


@pytest.mark.parametrize("how", ["params", "data"])
def test_q_may_come_more_than_once_and_says_what_it_says(client, how):
    fields = {"source": "en", "target": "it", "alternatives": "1", "scores": "true", "attention": "0"}
    answer = client.post("/translate", **{how: {**fields, "q": ["Hello & cat=world;\n+", "é%41😀"]}})
    assert answer.json()["translatedText"] == ["Ciao & gatto=mondo;\n+", "é%41😀"]
    assert "scores" in answer.json()
    assert "attention" not in answer.json()


def test_auto_is_the_only_language_there_is_and_claims_no_more(client):
    detected = {"confidence": 0.0, "language": "en"}
    assert translate(client, "Hello", source="auto") == {"translatedText": "Ciao", "detectedLanguage": detected}
    assert translate(client, ["Hello", ""], source="auto")["detectedLanguage"] == [detected, detected]


def test_auto_is_refused_where_it_could_be_two(translating):
    client = translating(translator(), translator("french", source="fr"))
    faults = refusal(client, {"q": "Hello", "source": "auto", "target": "it"})
    assert faults["/source"].endswith("served are en to it, fr to it")
    assert translate(client, "hello", source="fr")["translatedText"] == "ciao"


def test_alternatives_are_others_and_distinct(client):
    assert translate(client, "Hello", alternatives=2)["alternatives"] == ["so Ciao", "so so Ciao"]
    several = translate(client, ["Hello. HELLO", "😀"], alternatives=2)
    assert several["translatedText"] == ["Ciao. CIAO", "😀"]
    assert several["alternatives"] == [["so Ciao. SO CIAO", "so so Ciao. SO SO CIAO"], []]
    assert "alternatives" not in translate(client, "Hello", alternatives=0)


def test_scores_are_of_each_sentences_tokens(client):
    (first, second) = translate(client, "Hello cat. 12! Cat", scores=True)["scores"]
    assert "".join(first["tokens"]).replace("▁", " ").strip() == "Ciao gatto.</s>"
    assert len(first["tokens"]) == len(first["log_probs"])
    assert first["total"] == pytest.approx(sum(first["log_probs"]))
    assert second["tokens"] != first["tokens"]
    assert translate(client, ["cat", "12"], scores=True)["scores"][1] == []


def test_attention_is_of_each_sentence_with_its_tokens(client):
    (one,) = translate(client, "Hello cat.", attention=True)["attention"]
    s, t = len(one["source"]), len(one["target"])
    assert (one["source"][0], one["source"][-1], one["target"][0]) == ("<s>", "</s>", "<s>")
    assert one["target"][-1] == "."
    assert np.shape(one["encoder"]) == (2, 1, s, s)
    assert np.shape(one["decoder"]) == (2, 1, t, t)
    assert np.shape(one["cross"]) == (2, 1, t, s)
    assert np.sum(one["decoder"], axis=-1) == pytest.approx(np.ones((2, 1, t)), abs=1e-2)


def test_attention_is_bounded(translating):
    body = {"q": "Hello cat.", "source": "en", "target": "it", "attention": True}
    one = translator()
    maps = translate(translating(one), body["q"], attention=True)["attention"][0]
    size = sum(np.size(maps[kind]) for kind in ("encoder", "decoder", "cross"))
    client = translating(one, max_attention_values=size)
    assert client.post("/translate", json=body).status_code == 200
    asked = len(one.decoder.asked)
    told = refusal(client, {**body, "q": ["Hello cat."] * 9 + ["\u03b1\u03b2\u03b3"]})
    s = len(maps["source"])
    message = f"expected texts whose maps have up to {size} weights, came at least {9 * 2 * (s * s + 1 + s)}; "
    assert told["/attention"].startswith(message)
    assert "/q/9" in told
    assert len(one.decoder.asked) == asked  # before anything is translated
    client = translating(one, max_attention_values=size - 1)
    assert f"up to {size - 1} weights, came {size}; " in refusal(client, body)["/attention"]


def test_a_model_is_chosen_by_name_or_is_the_first(translating):
    first, second = translator("a-model"), translator("b-model")
    client = translating(first, second)
    translate(client, "Hello")
    translate(client, "cat", model="b-model")
    translate(client, "cat", model="b-model:1")
    client.post("/translate?model=b-model", data={"q": "world", "source": "en", "target": "it"})
    assert first.decoder.asked == [["Hello."]]
    assert second.decoder.asked == [["Cat."], ["Cat."], ["World."]]
    for model in ("hourly", "nope", "b-model:2"):
        faults = refusal(client, {"q": "Hello", "source": "en", "target": "it", "model": model})
        assert "a-model:1, b-model:1" in faults["/model"]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/q", "/source", "/target"]),
        ({"q": "x", "source": "de", "target": "it"}, ["/source"]),
        ({"q": "x", "source": "en", "target": "de"}, ["/target"]),
        ({"q": "x", "source": "it", "target": "en"}, ["/source"]),
        ({"q": "x", "source": "auto", "target": "en"}, ["/target"]),
        ({"q": ["x", 5, None], "source": "de", "target": "it"}, ["/q/1", "/q/2", "/source"]),
        ({"q": {"x": 1}, "source": "en", "target": "it"}, ["/q"]),
        ({"q": None, "source": "en", "target": "it"}, ["/q"]),
        ({"q": "x", "source": "en", "target": "it", "format": "html"}, ["/format"]),
        ({"q": "x", "source": "en", "target": "it", "alternatives": 11}, ["/alternatives"]),
        ({"q": "x", "source": "en", "target": "it", "alternatives": -1, "scores": "yes"}, ["/alternatives", "/scores"]),
        ({"q": "x", "source": "en", "target": "it", "attenton": True}, ["/attenton"]),
        ([1, 2], [""]),
        (b"{", [""]),
        (b'{"q": "\\ud800", "source": "en", "target": "it"}', [""]),
        (b'{"q": "\xff", "source": "en", "target": "it"}', [""]),
    ],
)
def test_every_fault_is_told(client, body, pointers):
    assert list(refusal(client, body)) == pointers


@pytest.mark.parametrize(
    "how",
    [
        {"content": b"q=%ff&source=en&target=it", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"q=\xff", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"&".join([b"q=a"] * 20_000), "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"--b\r\nno", "headers": {"content-type": "multipart/form-data; boundary=b"}},
        {"content": b"no", "headers": {"content-type": "multipart/form-data"}},
        {"files": {"q": ("a.txt", b"Hello")}, "data": {"source": "en", "target": "it"}},
        {"files": {"q": (None, b"\xff")}},
        {"params": {"source": ["en", "en"], "q": "x", "target": "it"}},
        {"params": {"source": "en"}, "json": {"q": "x", "source": "en", "target": "it"}},
        {"params": {"q": "x", "source": "en", "target": "it", "alternatives": "many"}},
    ],
)
def test_forms_that_cannot_be_read_are_refused(client, how):
    answer = client.post("/translate", **how)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_text_that_is_too_long_or_too_many_are_refused(translating):
    client = translating(translator(), max_chars=100, max_texts=5)
    body = {"q": "a" * 50 + " " + "b" * 49, "source": "en", "target": "it"}
    assert "came 101" in refusal(client, {**body, "q": body["q"] + "c"})["/q"]
    assert "came 200" in refusal(client, {**body, "alternatives": 1})["/q"]
    assert refusal(client, {**body, "q": ["a"] * 6}) == {"/q": "expected up to 5 texts, came 6"}
    assert translate(client, ["hello"] * 5)["translatedText"] == ["ciao"] * 5


@pytest.mark.parametrize(("method", "path"), [("GET", "/translate"), ("PUT", "/translate"), ("POST", "/languages")])
def test_other_methods_are_405_in_the_same_form(client, method, path):
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]) == (405, "Method Not Allowed")
    assert answer.headers["allow"]


def test_a_body_of_another_kind_is_415_and_one_too_large_413(translating):
    client = translating(translator(), max_body_mib=0.001)
    answer = client.post("/translate", content="<q/>", headers={"content-type": "text/xml"})
    assert (answer.status_code, answer.json()["error"][:8]) == (415, "expected")
    assert client.post("/translate", json={"q": "x" * 2000}).status_code == 413


def test_without_a_model_that_translates_it_is_503(translating):
    client = translating()
    assert refusal(client, {"q": "Hello", "source": "en", "target": "it"}, 503) == {}
    assert client.get("/languages").json() == []


def test_languages_are_named_with_what_they_are_translated_to(translating):
    client = translating(translator(), translator("d", target="de"), translator("x", source="qq"))
    # the client libretranslatepy sends a body with its GET
    assert client.request("GET", "/languages", data={"api_key": "x"}).json() == [
        {"code": "de", "name": "German", "targets": []},
        {"code": "en", "name": "English", "targets": ["de", "it"]},
        {"code": "it", "name": "Italian", "targets": []},
        {"code": "qq", "name": "qq", "targets": ["it"]},
    ]


def test_texts_and_tokens_are_counted(client):
    translate(client, ["Hello", "the cat", "12"])
    metrics = client.get("/metrics").text
    assert 'seqcast_texts_total{model="word-by-word"} 3.0' in metrics
    assert 'seqcast_tokens_total{model="word-by-word"} ' in metrics
