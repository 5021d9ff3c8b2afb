"""Pages say only words that a merchant knows: no term of the field, and in Chinese no Latin word but names.

The words to say instead are in docs/glossary.md. Terms may stand where somebody looks who knows them: in "Advanced", in
tooltips, on the settings page, and in the errors of those who install models, serve the studio or write programs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from personas.looks import LOOK_CATEGORIES
from personas.measures.catalogue import MEASURES
from pipelines.progress import PipelineStage
from pipelines.references.catalogue import REFERENCES, ReferenceKind
from studio.domain.platforms import load_platforms
from studio.domain.report import StudioStage
from studio.jobs.kinds import KINDS
from studio.texts.errors import error_table
from studio.texts.texts import LANGUAGES, Language
from tests.tables.surfaces import texts

NAMES = frozenset(
    re.findall(
        r"\w+", "AI AVIF FLUX GB GGUF HEIC Instagram JPEG MB PNG TikTok UTF URL WebP ZIP iPhone Mac Windows safetensors"
    )
) | {"Black", "Forest", "Labs"}  # the maker of FLUX
TERMS: dict[Language, re.Pattern[str]] = {
    "zh": re.compile(
        "捐献者|捐赠者|秩|触发词|门槛|损失|步数|种子|地标|静音|配方|混合|加噪|噪声|引导强度|主模型|底模|提示词|检查点|适配器|人设"
    ),
    "en": re.compile(
        r"\b(donors?|loras?|ranks?|trigger|gates?|loss|seeds?|landmarks?|recipes?|renoise|cfg|guidance|checkpoints?|"
        r"backbones?|ip-adapters?|kontext|redux|encode|hash|apache-2\.0)\b",
        re.IGNORECASE,
    ),
}
ADVANCED = ("dials.", "settings.", "doctor.", "upkeep.", "verify.")  # the last three are said in a terminal
TOOLTIPS = {"way.lacking_model", "adding.drop_kind", "adding.good_parts"}
# Codes of errors that no press on a default page leads to, or that say what to install, set or mend on the machine.
OPERATORS = frozenset(
    re.findall(
        r"\w+",
        """
    asked_through_proxy attribute_reader_missing backbone_draws_only
    backup_not_whole backup_of_server database_unreachable database_url_invalid no_data_folder records_elsewhere
    records_in_folder restore_no_room restore_not_empty
    store_elsewhere store_of_others store_of_records_elsewhere store_without_bucket worker_needs_database
    backbone_is_given backbone_not_whole_on_device
    backbone_not_yours_to_choose base_is_file base_missing base_of_other_family
    body_no_json body_of_two_lengths box_unreadable clothes_without_character
    bundle_of_another_companion bundle_of_another_ip_adapter bundle_of_another_reader
    bundle_of_another_character calibration_invalid calibration_of_other_models
    character_damaged character_does_not_fit character_encoder_missing character_encoder_other
    character_encoders_changed character_encoders_do_not_fit
    character_file_missing character_folder_missing character_heads character_is_pickle character_layout_unknown
    character_metadata character_missing character_not_for_companion character_pickle_missing character_pickle_other
    c2pa_certificate_invalid c2pa_certificate_refused c2pa_key_invalid c2pa_key_kind c2pa_no_time
    character_region_unknown character_several_files character_tensor_missing character_tensor_shape
    character_tensor_unknown consent_without_character
    content_checker_missing content_checker_unknown
    chat_template_damaged chat_template_missing chat_template_without_prompt companion_folder_empty
    companion_missing consent_no_json consent_of_minor consent_outside_unclear consent_word_missing consent_word_unknown
    data_folder_is_file
    donor_record_invalid donor_record_unreadable endpoint_address_invalid
    data_folder_read_only data_folder_unusable face_detector_without_landmarks face_pack_missing
    face_recogniser_not_differentiable file_is_controlnet file_is_ip_adapter file_is_lora
    file_is_vae gguf_package_missing
    hub_file_to_choose hub_id_invalid hub_licence_not_accepted hub_model_is_pickles hub_model_unknown
    hub_no_model hub_offline hub_refused ip_adapter_damaged ip_adapter_does_not_fit
    ip_adapter_encoder_does_not_fit ip_adapter_encoder_missing ip_adapter_file_missing ip_adapter_folder_missing
    ip_adapter_incomplete ip_adapter_is_pickle ip_adapter_key_unknown ip_adapter_missing
    ip_adapter_several_files json_no_object json_unreadable measure_weights_missing
    measure_weights_unreadable model_config_missing model_fetched_in_part model_file_unknown
    model_is_pickle no_upscaler spandrel_missing upscaler_is_pickle upscaler_unknown
    model_not_fetched model_not_finite model_scales_unknown model_unknown no_memory_for_model no_memory_for_precision
    no_result_yet no_room_for_model no_such_modules
    open_already person_package_missing person_package_unreadable pose_keypoints_other pose_model_missing
    precision_gguf_without_file precision_needs_gpu precision_of_gguf
    precision_package_missing redux_folder_missing redux_missing request_file_no_object
    request_file_unreadable rights_file_unknown saved_settings_damaged
    training_model_folder_missing training_model_missing
    training_start_does_not_fit transformer_name_unknown transformer_of_other_text_encoder
    transformer_of_other_vae user_unknown users_needed vae_statistics_missing
    weights_are_pickles
    argument_missing argument_too_many body_too_large option_takes_no_value option_unknown
    option_unknown_alike option_value_invalid option_value_missing route_unknown scene_photo_or_change
    style_folder_and_dataset style_of_nothing usage_wrong
""",
    )
)


def plain(sentence: str) -> str:
    """Return a sentence without its {fields}."""
    return " ".join(text for text, _, _, _ in Formatter().parse(sentence))


def unknown_words(sentence: str, language: Language) -> list[str]:
    """Return the words of a sentence that a merchant does not know."""
    said = plain(sentence)
    found = [match.group() for match in TERMS[language].finditer(said)]
    if language == "zh":
        found += [word for word in re.findall(r"[A-Za-zÀ-ÿ]{2,}|[A-Za-z](?=[0-9])", said) if word not in NAMES]
    return found


def page_texts(language: Language) -> Iterator[tuple[str, str]]:
    """Yield (where, sentence) of all that default pages, toasts and job panels say, fields not filled in."""
    for key, row in texts().items():
        if not key.startswith(ADVANCED) and key not in TOOLTIPS:
            yield key, row[language]
    for kind in REFERENCES:
        yield f"reference {kind.id}", kind.words[language].name
        yield f"reference {kind.id}", kind.words[language].what
    for job in KINDS.values():
        yield f"job {job.name}", job.words[language]
    for measure in MEASURES:
        yield f"measure {measure.name}", measure.words[language]
    for look in LOOK_CATEGORIES:
        yield f"look {look.id}", look.name_zh if language == "zh" else look.name_en
    for platform in load_platforms():
        yield f"platform {platform.id}", platform.name_zh if language == "zh" else platform.name_en


def error_texts(language: Language) -> Iterator[tuple[str, str]]:
    """Yield (code, sentence) of all errors."""
    for code, row in error_table().items():
        for sentence in row[language].values():
            yield code, sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_say_only_what_a_merchant_knows(language: Language) -> None:
    said = list(page_texts(language))
    wrong = [f"{where}: {words} in {text}" for where, text in said if (words := unknown_words(text, language))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_errors_say_only_what_a_merchant_knows(language: Language) -> None:
    wrong = [
        f"{code}: {words} in {text}"
        for code, text in error_texts(language)
        if code not in OPERATORS and (words := unknown_words(text, language))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_exception_is_left_over() -> None:
    needed = {code for language in LANGUAGES for code, text in error_texts(language) if unknown_words(text, language)}
    assert needed >= OPERATORS
    assert texts().keys() >= TOOLTIPS


@pytest.mark.parametrize("stage", [*PipelineStage, *StudioStage])
def test_every_stage_of_a_job_has_words(stage: str) -> None:
    assert set(texts()[f"stage.{stage}"]) == set(LANGUAGES)


@pytest.mark.parametrize("kind", REFERENCES, ids=lambda kind: kind.id)
def test_errors_call_a_reference_as_its_card_does(kind: ReferenceKind) -> None:
    assert texts()[f"word.{kind.id}"] == {
        "en": kind.words["en"].name[0].lower() + kind.words["en"].name[1:],
        "zh": kind.words["zh"].name,
    }


@pytest.mark.parametrize(
    ("planted", "language"),
    [
        ("添加捐献者", "zh"), ("训练好的 LoRA", "zh"), ("encode 18/18", "zh"), ("许可证：Apache-2.0", "zh"),
        ("秩 {ranks}", "zh"), ("放宽门槛", "zh"), ("{count} 个种子", "zh"), ("IP-Adapter 的层", "zh"),
        ("Add a donor", "en"), ("Loosen a gate", "en"), ("The LoRA's scale", "en"), ("keep the landmark", "en"),
    ],
)  # fmt: skip
def test_a_planted_word_is_found(planted: str, language: Language) -> None:
    assert unknown_words(planted, language)


@pytest.mark.parametrize("sound", ["TikTok 图文", "JPEG、PNG、WebP", "{model} 不能绘制", "T恤"])
def test_names_and_fields_are_no_unknown_words(sound: str) -> None:
    assert not unknown_words(sound, "zh")


def test_the_glossary_has_every_word_once() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:4] for line in page.splitlines() if line.startswith("| ") and "---" not in line][1:]
    english, chinese = [row[0].strip() for row in rows], [row[1].strip() for row in rows]
    assert len(set(english)) == len(english) >= 12
    assert len(set(chinese)) == len(chinese)
    everything = json.dumps([texts(), error_table()], ensure_ascii=False).casefold()
    assert [word for word in (*english, *chinese) if word.casefold() not in everything] == []


def test_chinese_has_chinese_marks_and_one_word_for_you() -> None:
    beside = re.compile(r"[一-龥”}][:;,()!?](?!\w*\d)|[:;,()?!](?=[一-龥“])|您")
    rows = json.loads(
        (Path(__file__).resolve().parents[2] / "studio" / "texts" / "texts.json").read_text(encoding="utf-8")
    )
    assert {key: row["zh"] for key, row in rows.items() if beside.search(re.sub("<[^>]+>", "", row["zh"]))} == {}
