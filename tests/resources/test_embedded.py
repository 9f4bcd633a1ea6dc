"""The shipped model and corpora: small, readable, consistent with themselves; and the code that makes them."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ta_resources.embedded import rollout_sampling, task
from ta_resources.embedded.labels import label_chunks
from ta_resources.embedded.make import MODEL_FOLDER, SETTING_FOLDER
from ta_resources.embedded.rollout_sampling import Continuations, sample
from ta_resources.embedded.training import N_STEPS, build_model, build_tokenizer

PACKAGE = Path(task.__file__).parent
CORPORA = {
    name: PACKAGE / "math-rollouts" / MODEL_FOLDER / SETTING_FOLDER / f"{name}_base_solution"
    for name in ("correct", "incorrect")
}
FOLDERS = [pytest.param(folder, id=name) for name, folder in CORPORA.items()]


def read(path: Path) -> Any:
    def reject(constant: str) -> None:
        raise AssertionError(f"{path}: {constant}")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=reject)


def problem_folders(corpus: Path) -> list[Path]:
    return sorted(corpus.glob("problem_*"))


@pytest.fixture(scope="module")
def shipped() -> tuple[Any, Any]:
    folder = PACKAGE / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True).eval(), tokenizer


def test_everything_that_ships_is_under_eight_megabytes() -> None:
    files = [path for part in ("model", "math-rollouts") for path in (PACKAGE / part).rglob("*") if path.is_file()]
    assert 2.5e6 < sum(path.stat().st_size for path in files) < 8e6
    assert {path.suffix for path in files} == {".json", ".safetensors"}


@pytest.mark.parametrize("corpus", FOLDERS)
def test_every_problem_has_the_datasets_fields_and_the_right_correctness(corpus: Path) -> None:
    assert len(problem_folders(corpus)) >= 24
    for folder in problem_folders(corpus):
        problem, base = read(folder / "problem.json"), read(folder / "base_solution.json")
        assert set(problem) == {"problem", "level", "type", "gt_solution", "gt_answer", "nickname"}
        assert set(base) == {"prompt", "solution", "full_cot", "answer", "is_correct"}
        assert base["full_cot"] == base["prompt"] + base["solution"]
        assert problem["problem"] in base["prompt"]
        assert base["answer"] == task.extract_answer(base["solution"])
        assert base["is_correct"] is (base["answer"] == problem["gt_answer"])
        assert base["is_correct"] is (corpus == CORPORA["correct"])


def test_the_corpora_share_most_of_their_problems() -> None:
    correct, incorrect = ({folder.name for folder in problem_folders(corpus)} for corpus in CORPORA.values())
    assert len(correct & incorrect) >= 20


@pytest.mark.parametrize("corpus", FOLDERS)
def test_the_sentences_are_the_solution_and_their_anchor_threshold_is_not_zero(corpus: Path) -> None:
    for folder in problem_folders(corpus):
        chunks, base = read(folder / "chunks_labeled.json"), read(folder / "base_solution.json")
        assert 8 <= len(chunks) <= 20
        assert [chunk["chunk_idx"] for chunk in chunks] == list(range(len(chunks)))
        assert base["solution"] == "".join(f" {chunk['chunk']}" for chunk in chunks)
        cursor = len(base["prompt"])
        for chunk in chunks:
            # The first occurrence from the cursor is the sentence itself, with the space before it skipped.
            assert base["full_cot"].find(chunk["chunk"], cursor) == cursor + 1
            cursor += 1 + len(chunk["chunk"])
        assert base["full_cot"].find(chunks[0]["chunk"]) == len(base["prompt"]) + 1
        raw = np.array([chunk["counterfactual_importance_accuracy"] for chunk in chunks])
        assert raw[-1] == 0
        threshold = np.percentile(np.abs(raw[:-1]), 90)
        assert threshold > 0
        assert (np.abs(raw[:-1]) >= threshold).sum() <= 4


@pytest.mark.parametrize("corpus", FOLDERS)
def test_stored_accuracies_give_the_stored_differences_in_the_datasets_sense(corpus: Path) -> None:
    for folder in problem_folders(corpus):
        chunks = read(folder / "chunks_labeled.json")
        accuracies = np.array([chunk["accuracy"] for chunk in chunks])
        stored = [chunk["resampling_importance_accuracy"] for chunk in chunks]
        np.testing.assert_allclose(stored, [*np.diff(accuracies), 0.0], atol=1e-12)


@pytest.mark.parametrize("corpus", FOLDERS)
def test_labels_follow_from_the_shipped_rollouts(corpus: Path) -> None:
    complete = [folder for folder in problem_folders(corpus) if (folder / "chunk_0").is_dir()]
    assert len(complete) >= 1
    for folder in complete:
        chunks, base = read(folder / "chunks_labeled.json"), read(folder / "base_solution.json")
        gt_answer = read(folder / "problem.json")["gt_answer"]
        groups = [read(folder / f"chunk_{index}" / "solutions.json") for index in range(len(chunks))]
        accuracies, different = [], []
        for chunk, group in zip(chunks, groups, strict=True):
            assert len(group) >= 50
            for rollout in group:
                assert rollout["chunk_removed"] == chunk["chunk"]
                assert rollout["full_cot"].startswith(f"{base['prompt']} {rollout['prefix_without_chunk']}".rstrip())
                assert rollout["full_cot"].endswith(rollout["rollout"])
                assert rollout["rollout"].strip().startswith(rollout["chunk_resampled"])
                assert rollout["is_correct"] is (rollout["answer"] == gt_answer)
            answered = [rollout for rollout in group if rollout["answer"]]
            accuracies.append(np.mean([rollout["is_correct"] for rollout in answered]))
            different.append([r["is_correct"] for r in answered if r["chunk_resampled"] != chunk["chunk"]])
        for index, chunk in enumerate(chunks):
            computable = different[index] and index + 1 < len(chunks)
            expected = np.mean(different[index]) - accuracies[index + 1] if computable else 0.0
            assert chunk["counterfactual_importance_accuracy"] == pytest.approx(expected, abs=1e-12)
            assert chunk["accuracy"] == pytest.approx(accuracies[index], abs=1e-12)


def test_a_slip_has_positive_importance_and_unanswered_rollouts_do_not_count() -> None:
    def rollout(resampled: str, is_correct: bool, answer: str = "1") -> dict[str, Any]:
        return {"chunk_removed": "a.", "chunk_resampled": resampled, "is_correct": is_correct, "answer": answer}

    first = [rollout("a.", False), rollout("b.", True), rollout("c.", True), rollout("d.", False, "")]
    second = [rollout("a.", False), rollout("a.", False), rollout("a.", True), rollout("a.", False)]
    slip, last = label_chunks(["a.", "b."], [first, second])
    assert slip["counterfactual_importance_accuracy"] == pytest.approx(1 - 1 / 4)
    assert slip["resampling_importance_accuracy"] == pytest.approx(1 / 4 - 2 / 3)
    assert slip["different_trajectories_fraction"] == pytest.approx(2 / 3)
    assert last["counterfactual_importance_accuracy"] == 0.0


def test_text_of_the_language_survives_its_tokens_sentence_by_sentence() -> None:
    tokenizer, rng = build_tokenizer(), random.Random(5)
    for _ in range(200):
        problem = task.draw_problem(rng, rng.choice(N_STEPS))
        sentences = task.write_trace(problem, rng, task.Habits())
        text = " ".join((problem.prompt, *sentences))
        encoded = tokenizer(text, return_offsets_mapping=True)
        pieces = [text[start:end] for start, end in encoded["offset_mapping"]]
        assert pieces == re.findall(r" ?(?:\d+\)|[+-]\d+|\w+|[^\w\s])", text)
        assert tokenizer.decode(encoded["input_ids"]) == text
        assert all(tokenizer.decode(tokenizer(sentence)["input_ids"]) == sentence for sentence in sentences)
        assert task.split_sentences(text[len(problem.prompt) :]) == sentences
        assert all(task.function_tags(sentence) for sentence in sentences)


def test_an_undisturbed_trace_states_the_right_answer() -> None:
    rng = random.Random(3)
    for _ in range(200):
        problem = task.draw_problem(rng, 6)
        assert task.extract_answer(" ".join(task.write_trace(problem, rng, task.Habits(slip=0.0)))) == problem.answer
        assert 1 <= int(problem.answer) <= task.HOURS
    assert task.apply("-", 3, 5) == 10
    assert task.apply("+", 11, 2) == 1
    assert task.extract_answer("no answer") == ""


def test_sampling_with_rows_that_join_equals_plain_continuation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_sampling, "TEMPERATURE", 1e-6)
    monkeypatch.setattr(rollout_sampling, "MAX_LENGTH", 40)
    torch.manual_seed(1)
    model = build_model(30).eval()
    tokens = tuple(torch.randint(2, 30, (25,)).tolist())
    starts = (20, 4, 4, 11)
    sampled = sample(model, Continuations(tokens, starts, end=0, seed=0))
    for start, continuation in zip(starts, sampled, strict=True):
        text = list(tokens[:start])
        while len(text) < 40:
            with torch.inference_mode():
                text.append(int(model(torch.tensor([text])).logits[0, -1].argmax()))
            if text[-1] == 0:
                text.pop()
                break
        assert continuation == text[start:]


def test_the_shipped_tokenizer_is_the_built_one_and_takes_any_text(shipped: tuple[Any, Any]) -> None:
    tokenizer, built = shipped[1], build_tokenizer()
    assert tokenizer.get_vocab() == built.get_vocab()
    for text in ("Zebra, 13) é\nof 112 clocks", task.ClockProblem(12, (("-", 3),)).prompt):
        assert tokenizer(text)["input_ids"] == built(text)["input_ids"]
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_shipped_model_continues_a_prompt_in_its_language(shipped: tuple[Any, Any]) -> None:
    model, tokenizer = shipped
    assert tokenizer.is_fast
    assert model.config.model_type == "qwen2"
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (4, 128)
    assert model.config.max_position_embeddings >= 512
    assert next(model.parameters()).dtype == torch.float32
    prompt = task.ClockProblem(6, (("+", 5), ("+", 4), ("-", 3), ("-", 2), ("+", 9), ("+", 1))).prompt
    tokens = tokenizer(prompt, return_tensors="pt")
    text = tokenizer.decode(model.generate(**tokens, max_new_tokens=200, do_sample=False)[0], skip_special_tokens=True)
    sentences = task.split_sentences(text[len(prompt) :])
    assert all(task.function_tags(sentence) for sentence in sentences)
    assert "1) +5: 6 + 5 = 11." in sentences
    assert task.extract_answer(text)


def test_words_of_a_sentence_do_not_tell_a_slip_from_a_right_turn() -> None:
    rng = random.Random(2)
    words: dict[bool, list[set[str]]] = {True: [], False: []}
    for _ in range(400):
        problem = task.draw_problem(rng, rng.choice(N_STEPS))
        assert sum(problem.turns) == task.TURNS
        for sentence in task.write_trace(problem, rng, task.Habits()):
            step = re.fullmatch(r"(\d+)\) ([+-])\d+: \d+ ([+-]) \d+ = \d+\.", sentence)
            if step and problem.turns[int(step[1]) - 1]:
                words[step[2] != step[3]].append({f"named {step[2]}", f"done {step[3]}"})
    slips, right = words[True], words[False]
    assert len(slips) / (len(slips) + len(right)) == pytest.approx(task.Habits().slip, abs=0.05)
    for word in ("named +", "named -", "done +", "done -"):
        shares = [np.mean([word in sentence for sentence in group]) for group in (slips, right)]
        assert shares == pytest.approx([0.5, 0.5], abs=0.08), word
