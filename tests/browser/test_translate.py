"""The view Translate shows what the API makes of a text, and where it looked."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TRANSFORMER, WORDS = "#translation-tatoeba-transformer", "#translation-words"


@pytest.fixture
def page(open_page):
    page = open_page("translate")
    settled(page)
    return page


def settled(page):
    page.wait_for_selector("#translate-results:not([aria-busy]) .translated:not(:empty)")


def article(page, name):
    return page.locator(f"article[aria-labelledby='{name[1:]}-title']")


def ask(api, text, model="tatoeba-transformer", **fields):
    return api.post("/translate", json={"q": text, "source": "en", "target": "it", "model": model, **fields})


def typed(page, text):
    page.fill("#translate-text", text)
    settled(page)


def percent(weight):
    return f"{float(f'{100 * weight:.3g}'):g} %"


def test_a_sample_is_translated_at_once_with_alternatives(page, api):
    sample = api.get("/models/words/sample").json()  # the best by its BLEU, which is of made-up words
    assert page.input_value("#translate-text") == sample["q"]
    assert page.locator("#translate-languages option").all_inner_texts() == ["English to Italian"]
    said = ask(api, sample["q"], alternatives=3).json()
    here = article(page, TRANSFORMER)
    assert here.locator(".translated").inner_text() == said["translatedText"]
    assert here.locator(".alternatives li").all_inner_texts() == said["alternatives"]
    assert "BLEU 57.6" in here.locator("h3").inner_text()
    page.fill("#translate-alternatives", "1")
    settled(page)
    assert here.locator(".alternatives li").all_inner_texts() == said["alternatives"][:1]


def test_it_translates_as_typing_stops_and_not_at_every_key(page, api):
    asked = []
    page.on("request", lambda request: asked.append(request.post_data_json) if request.method == "POST" else None)
    page.fill("#translate-text", "")
    page.locator("#translate-text").press_sequentially("Where is the dog?", delay=10)
    page.wait_for_selector("text=Dov'è il cane?")
    settled(page)
    complete = [each for each in asked if each["q"] == "Where is the dog?"]
    # the translation and then the maps, of each bundle; of what came before, at most one that typing was slow for
    assert {each["model"] for each in complete} == {"tatoeba-transformer", "words"}
    assert len(asked) - len(complete) <= 4
    assert (
        article(page, TRANSFORMER).locator(".translated").inner_text()
        == ask(api, "Where is the dog?").json()["translatedText"]
    )


def test_maps_read_as_the_api_has_them(page, api):
    typed(page, "The dog is here. Where is my book?")
    _, told = ask(api, "The dog is here. Where is my book?", attention=True).json()["attention"]
    page.select_option(f"{TRANSFORMER}-sentence", "1")
    for kind, layer, head, row, column in (
        ("cross", 0, 0, 1, 2),
        ("cross", 1, 5, 0, 3),
        ("encoder", 3, 2, 4, 1),
        ("decoder", 1, 7, 2, 1),
    ):
        page.select_option(f"{TRANSFORMER}-kind", kind)
        page.select_option(f"{TRANSFORMER}-layer", str(layer))
        page.locator(f"{TRANSFORMER}-heads input").nth(head).check(force=True)
        assert page.locator(f"{TRANSFORMER}-heads input").count() == len(told[kind][layer]) == 8
        canvas = article(page, TRANSFORMER).locator("canvas.heat")
        for key in ["ArrowDown"] * (row + 1) + ["ArrowRight"] * column:
            canvas.press(key)
        looked = (told["target"] if kind == "decoder" else told["source"])[column]
        who = told["source"][row] if kind == "encoder" else f"Writing {told['target'][row + 1]}"
        read = article(page, TRANSFORMER).locator(".reading").inner_text()
        assert read == f"{who}: {percent(told[kind][layer][head][row][column])} on {looked}"


def test_transformer_and_gru_are_shown_side_by_side(page, api):
    chosen = ("tatoeba-transformer", "tatoeba-gru-additive")
    page.uncheck("#translate-bundles input[value=words]")
    page.check("#translate-bundles input[value=tatoeba-gru-additive]")
    text = "The night train is late again."
    page.fill("#translate-text", text)
    for name in chosen:
        here = article(page, f"#translation-{name}")
        said = ask(api, text, name).json()["translatedText"]
        expect(here.locator(".translated")).to_have_text(said)
        (told,) = ask(api, text, name, attention=True).json()["attention"]
        kinds = [kind for kind in ("cross", "encoder", "decoder") if told.get(kind)]
        assert here.locator("select[id$=kind] option").all_inner_texts() == kinds
        settled(page)
        assert here.locator(".head").count() == len(told["cross"][0]) == (1 if "gru" in name else 8)
        here.locator("canvas.heat").press("ArrowDown")
        here.locator("canvas.heat").press("ArrowRight")
        weight = percent(told["cross"][0][0][0][1])
        assert here.locator(".reading").inner_text() == f"Writing {told['target'][1]}: {weight} on {told['source'][1]}"
    boxes = [article(page, f"#translation-{name}").bounding_box() for name in chosen]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] < boxes[1]["x"]
    page.uncheck("#translate-bundles input[value=tatoeba-gru-additive]")
    settled(page)
    assert page.locator("article").count() == 1


def test_faults_are_told_by_their_field_in_the_apis_words(page, api):
    page.fill("#translate-text", "где?")
    page.wait_for_selector("#translate-text-faults li:has-text('3 of 3')")
    told = [fault for name in ("words", "tatoeba-transformer") for fault in ask(api, "где?", name).json()["errors"]]
    shown = page.locator("#translate-text-faults li").all_inner_texts()
    assert shown == [f"{fault['pointer']} {fault['message']}" for fault in told]
    assert page.get_attribute("#translate-text", "aria-invalid") == "true"
    assert not page.locator("canvas.heat:visible").count()
    page.fill("#translate-alternatives", "11")
    page.wait_for_selector("#translate-alternatives-faults li")
    (fault, *_) = ask(api, "a", alternatives=11).json()["errors"]
    assert fault["message"] in page.inner_text("#translate-alternatives-faults")
    page.fill("#translate-alternatives", "0")
    typed(page, "Where is the dog?")
    page.uncheck("#translate-bundles input[value=words]")
    settled(page)
    assert not page.locator("#translate-text-faults li").count()


def test_maps_that_are_too_large_keep_no_translation_back(page, api):
    page.uncheck("#translate-bundles input[value=words]")
    text = " ".join(f"The dog number {number} is here." for number in range(20))
    page.fill("#translate-alternatives", "0")
    page.fill("#translate-text", text)
    here = article(page, TRANSFORMER)
    here.locator(".notice:visible").wait_for()
    (fault,) = ask(api, text, attention=True).json()["errors"]
    assert here.locator(".notice").inner_text() == fault["message"]
    assert here.locator(".translated").inner_text().count("cane") >= 15


def test_markup_is_text(page):
    hurt = "<img src=x onerror=alert(1)>"
    maps = {"source": ["<s>", hurt, "</s>"], "target": ["<s>", hurt], "cross": [[[[0.5, 0.25, 0.25]] * 2]]}
    answer = {"translatedText": hurt, "alternatives": [hurt], "attention": [maps]}
    page.route("**/translate", lambda route: route.fulfill(json=answer))
    page.fill("#translate-text", hurt)
    page.wait_for_selector(".translated:has-text('<img')")
    here = article(page, TRANSFORMER)
    assert here.locator(".translated").inner_text() == here.locator(".alternatives li").inner_text() == hurt
    here.locator("canvas.heat").press("ArrowDown")
    here.locator("canvas.heat").press("ArrowRight")
    assert here.locator(".reading").inner_text() == f"Writing {hurt}: 25 % on {hurt}"
    assert not page.locator("main img").count()
