"""What a person sees in Airflow of a finished first run: graph, log, trigger form, documentation."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.ui import DAG, node, open_form, open_graph, open_log, open_section

STATES = {
    "prepare": "success",
    "prepare.plan": "success",
    "prepare.validate": "success",
    "prepare.etl": "success",
    "profile": "success",
    "profile.class_balance": "success",
    "profile.comparison": "skipped",  # nothing to compare a first run with
    "train": "success",
    "evaluate": "success",
    "gate": "success",
    "release": "success",
    "release.register": "success",
    "release.deploy": "success",
    "release.smoke_test": "success",
}
# Section -> field -> default, beginning of the explanation.
FIELDS = {
    "Training": {
        "Depth of a tree": ("5", ""),
        "Learning rate (eta)": ("0.2", ""),
        "Rounds": ("100", "Number of trees, at most."),
        "Early stopping": ("0", "Stop when the validation log loss has not improved"),
        "Gamma": ("4", "Loss reduction"),
        "Minimum child weight": ("6", "Sum of weights"),
        "Subsample": ("0.8", "Share of the rows"),
        "Class weight of churners": ("1", "Above 1 finds more churners"),
    },
    "Gate": {
        "Threshold": ("0.5", "Probability from which a customer counts as a churner"),
        "Margin": ("0.02", "Log loss (nats) by which a challenger may be worse"),
    },
}


def test_the_graph_shows_every_task_and_group_with_its_state(page, airflow):
    open_graph(page, airflow)
    for name, state in STATES.items():
        expect(node(page, name)).to_contain_text(state)
        expect(node(page, name)).to_contain_text(name.rsplit(".", 1)[-1])


def test_the_log_of_train_shows_the_metrics_of_every_round(page, airflow):
    line = open_log(page, airflow, "train", r"\[99\]\s+train-").inner_text()
    metrics = {name: float(value) for name, value in re.findall(r"([a-z]+-[a-z]+):([0-9.]+)", line)}
    assert 0.5 < metrics["validation-auc"] <= metrics["train-auc"] <= 1
    assert 0 < metrics["train-logloss"] < metrics["validation-logloss"] < 0.69


def test_the_form_explains_its_fields_and_has_their_defaults(page, airflow):
    form = open_form(page)
    for name, fields in FIELDS.items():
        section = open_section(form, name)
        for field, (default, explanation) in fields.items():
            expect(section.get_by_role("spinbutton", name=field, exact=True)).to_have_value(default)
            expect(section).to_contain_text(explanation)


@pytest.mark.parametrize(
    ("field", "choices"),
    [("Split", ["hash", "reference"]), ("When a data check fails", ["refuse", "warn"])],
)
def test_a_choice_is_a_menu(page, airflow, field, choices):
    section = open_section(open_form(page), "Data")
    section.get_by_role("combobox", name=field, exact=True).click()
    expect(page.get_by_role("option")).to_have_text(choices)


def test_the_form_can_be_sent_as_it_opens(page, airflow):
    expect(open_form(page).get_by_role("button", name="Trigger", exact=True)).to_be_enabled()


def test_a_bad_value_is_refused_by_name_and_starts_nothing(page, airflow):
    form = open_form(page)
    section = open_section(form, "Data")
    section.get_by_role("textbox").first.fill("/home/me/customers.csv")
    send = form.get_by_role("button", name="Trigger", exact=True)
    expect(send).to_be_enabled()
    with page.expect_response(lambda answer: answer.url.endswith(f"/dags/{DAG}/dagRuns")) as answered:
        send.click()
    assert answered.value.status == 400
    expect(form).to_contain_text("Invalid input for param data")


def test_the_documentation_of_the_dag_is_shown(page, airflow):
    page.goto(f"/dags/{DAG}")
    page.get_by_role("button", name="Dag Docs").click()
    text = page.get_by_role("dialog").last
    expect(text.get_by_role("heading", name="Churn training")).to_be_visible()
    expect(text).to_contain_text("Serves endpoint churn-local")
    expect(text).to_contain_text("When a task fails, its last log line says what is wrong and where.")
