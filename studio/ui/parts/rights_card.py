"""What may be done with a persona: licences, whose consent is behind it, and these withdrawn or prolonged."""

from __future__ import annotations

import datetime
from html import escape
from urllib.parse import quote

from personas.donors import Donor, with_consent
from pipelines.errors import BadInput
from pipelines.models.licences import USES, Permission, find_licence
from studio.domain.days import read_day
from studio.domain.design import UsedDonor
from studio.domain.donor import DonorAdded
from studio.domain.licences import sternest
from studio.domain.persona import Persona
from studio.export.manifest import ON_RECORD
from studio.library.consents import descendants_of, prolong_donor, revoke_donor
from studio.library.records import PersonaRecord, RightsRecord, UserRecord
from studio.library.results import job_of
from studio.texts.licences import say_answers, say_permission
from studio.ui.context import Pressed, Ui, toast
from studio.ui.parts.html import button, link, table

__all__ = ["act_on_consent", "show_descendants", "show_rights"]

_MOST_SETS = 24


def act_on_consent(ui: Ui, owner: str, data: Pressed) -> bool:
    """Withdraw or prolong a consent; whether the button was for that. Raises BadInput."""
    do = data.get("do", "")
    if do not in ("revoke-consent", "prolong-consent"):
        return False
    donor = _donors(ui).get(data.get("donor", ""))
    if donor is None or not _may_change(ui, owner, donor):
        raise BadInput("consent_of_others")
    if do == "revoke-consent":
        revoke_donor(ui.studio.library, owner, donor)
        made = descendants_of(ui.studio.records, owner, donor.id)
        rows = (ui.studio.records.get(PersonaRecord, key, owner) for key in made.personas)
        names = dict.fromkeys(row.name for row in rows if row is not None)
        toast(ui.t("card.withdrawn", name=donor.name, people=", ".join(names) or "–", sets=len(made.post_sets)))
        return True
    said = data.get("value", "").strip()
    if not said:
        return True
    try:
        day = read_day(said)
    except ValueError as error:
        raise BadInput("bad_date", date=said[:30]) from error
    prolong_donor(ui.studio.library, owner, donor, day)
    toast(ui.t("card.prolonged", name=donor.name, date=day.isoformat()))
    return True


def _donors(ui: Ui) -> dict[str, Donor]:
    return {donor.id: donor for donor in ui.studio.list_donors().donors}


def _is_invented(ui: Ui, donor: Donor) -> bool:
    return donor.lora_path.is_relative_to(ui.studio.settings.bundled_donors)


def _may_change(ui: Ui, owner: str, donor: Donor) -> bool:
    """Whoever brought it by a page may; without users everybody is the same person."""
    if _is_invented(ui, donor):
        return False
    records = ui.studio.records
    return job_of(records, owner, DonorAdded, donor.id) is not None or not records.everyones(UserRecord)


def _change(ui: Ui, owner: str, donor: Donor | None) -> str:
    """A day to choose, and a button that withdraws."""
    if donor is None or not _may_change(ui, owner, donor):
        return ""
    t, label = ui.t, escape(ui.t("card.prolong"))
    field = (
        f'<label class="st-soft">{label} <input type="date" data-do="prolong-consent" data-donor="{donor.id}" '
        f'data-key="prolong-{donor.id}" aria-label="{escape(donor.name)}: {label}"></label>'
    )
    withdraw = button(t("card.revoke"), "revoke-consent", quiet=True, donor=donor.id)
    return f'<div class="st-row">{field}{"" if donor.consent.revoked else withdraw}</div>'


def _novelty(ui: Ui, owner: str, persona: Persona) -> str:
    """Whether somebody let the face be nearer to a source face than the studio does."""
    rows = ui.studio.records.find(RightsRecord, owner, kind="novelty", thing=f"design:{persona.design}")
    if not rows:
        return ""
    facts = {name: f"{value:.2f}" for name, value in rows[-1].facts.items()}
    return f"<p class='st-bad'>⚠ {escape(ui.t('card.not_new', **facts))}</p>"


def show_rights(ui: Ui, owner: str, persona: Persona) -> str:
    """Return what may be done with the pictures, and each person's consent behind it, as HTML; whoever brought a source
    face can withdraw and prolong its consent here.
    """
    t, here = ui.t, _donors(ui)
    rows, stopped = [], ""
    for used in persona.donors:
        donor = here.get(used.id)
        licence = used.licence if donor is None else donor.licence
        if donor is not None and not with_consent([donor], datetime.date.today()):
            stopped = f"<p class='st-bad'>⚠ {escape(t('card.stopped'))}</p>"
        rows.append(
            [
                escape(used.name),
                *_consent(ui, used, donor),
                f"<div>{_until(ui, donor)}{_change(ui, owner, donor)}</div>",
                f'<span title="{escape(licence)}">{escape(say_answers(t, licence))}</span>',
            ]
        )
    stopped += "".join(
        show_descendants(ui, owner, donor) for used in persona.donors if (donor := here.get(used.id)) is not None
    )
    headers = [t(f"card.{name}") for name in ("donor", "who", "scope", "until", "licence")]
    said = stopped + _novelty(ui, owner, persona)
    return f'{said}<p>{escape(_altogether(ui, persona))}</p><div class="st-stacked">{table(headers, rows)}</div>'


def show_descendants(ui: Ui, owner: str, donor: Donor) -> str:
    """Return which personas and sets of the owner descend from a donor whose consent no longer holds, as links in HTML;
    "" while it holds.
    """
    t, records = ui.t, ui.studio.records
    if with_consent([donor], datetime.date.today()):
        return ""
    made = descendants_of(records, owner, donor.id)
    people = [row for key in made.personas if (row := records.get(PersonaRecord, key, owner)) is not None]
    links = [
        link(f"{row.name} · {t('version')} {row.version}", f"{ui.url('library')}?persona={quote(row.id)}", big=False)
        for row in people
    ]
    links += [
        link(t("origin.set", number=number), f"{ui.url('posts')}?set={quote(key)}", big=False)
        for number, key in enumerate(made.post_sets[-_MOST_SETS:], max(1, len(made.post_sets) - _MOST_SETS + 1))
    ]
    if not links:
        return ""
    return f'<p>{escape(t("origin.made", name=donor.name))}</p><div class="st-row">{"".join(links)}</div>'


def _consent(ui: Ui, used: UsedDonor, donor: Donor | None) -> tuple[str, str]:
    """Who agreed, and to what; that nobody had to be asked, for those that come along."""
    if donor is None:
        who = ui.t("card.on_record") if used.consent == ON_RECORD else used.consent
        return escape(who), escape(ui.t("card.donor_gone"))
    if _is_invented(ui, donor):
        return escape(ui.t("design.invented")), escape(ui.t("card.everything"))
    return escape(donor.consent.who), escape(donor.consent.scope)


def _until(ui: Ui, donor: Donor | None) -> str:
    """The consent's last day as HTML; one that is over is marked, and not by its colour alone."""
    t = ui.t
    if donor is None:
        return "–"
    consent = donor.consent
    if consent.revoked:
        return f"<span class='st-bad'>⚠ {escape(t('card.revoked'))}</span>"
    if consent.expires is None:
        return escape(t("card.no_end"))
    if consent.expires < datetime.date.today():
        return f"<span class='st-bad'>⚠ {escape(t('card.over', date=consent.expires.isoformat()))}</span>"
    return consent.expires.isoformat()


def _altogether(ui: Ui, persona: Persona) -> str:
    """The sternest answer of all its source faces' licences to each use."""
    t, here = ui.t, _donors(ui)
    licences = {d.licence if (now := here.get(d.id)) is None else now.licence for d in persona.donors}
    comma = "; " if t.language == "en" else "；"
    said = []
    for use in USES:
        answers: list[Permission] = [find_licence(licence).allows(use) for licence in licences]
        answer = say_permission(t, sternest(answers))
        said.append(t("card.use", use=t(f"licence.use.{use}"), answer=answer))
    return t("card.altogether", answers=comma.join(said))
