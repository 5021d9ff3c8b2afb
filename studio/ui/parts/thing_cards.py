"""Cards of the library's things: what each shows, where it leads, its tags and albums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from pipelines.errors import StudioError
from studio.domain.arrangement import Slot
from studio.domain.posts import PostSet
from studio.library.albums import MEMBERS, AlbumFacts, albums_of, look_into
from studio.library.faces import FACED
from studio.library.groups import groups_of
from studio.library.index import Thing
from studio.texts.texts import Texts
from studio.ui.context import Ui
from studio.ui.parts.html import button, card, file_url, link, picture
from studio.ui.parts.job_list import show_moment
from studio.ui.parts.opened_set import set_url
from studio.ui.parts.post_cards import arrange_shown, show_scores
from studio.ui.parts.shots_table import describe_shot

__all__ = ["Cards", "thing_name"]


def thing_name(t: Texts, thing: Thing) -> str:
    """Return what a thing is called, in the page's language."""
    facts = thing.facts
    if thing.kind == "consolidate":
        return f"{facts['name']} · {t('version')} {facts['version']}"
    if thing.kind == "posts":
        return f"{facts['name']} · {t.word(facts['scene'])} · {t('job.count', count=facts['count'])}"
    if thing.kind == "post":
        return f"{facts['name']} · {t.word(facts['scene'])} · {t('job.post', number=int(facts['number']) + 1)}"
    if thing.kind == "design":
        return f"{t.word(facts['name'])} · {facts['kept']}/{facts['count']}"
    if thing.kind == "album":
        return str(facts["name"])
    return t.word(facts["name"])


@dataclass(frozen=True)
class Cards:
    """What the cards of one page need, asked for once: names of `albums`, in which of them things are, how much is
    `inside` of albums, and posts as their sets show them.
    """

    ui: Ui
    albums: Mapping[str, str]
    groups: Mapping[str, tuple[str, ...]]
    inside: Mapping[str, AlbumFacts]
    slots: Mapping[str, Mapping[int, Slot]]

    @classmethod
    def of(cls, ui: Ui, owner: str, things: Sequence[Thing]) -> Cards:
        records = ui.studio.records
        members = [thing.id for thing in things if thing.kind in MEMBERS]
        shown = [thing.id.partition(":")[2] for thing in things if thing.kind == "album"]
        sets = dict.fromkeys(str(thing.facts["set"]) for thing in things if thing.kind == "post")
        return cls(
            ui,
            {known.id: known.name for known in albums_of(records, owner)} if members else {},
            groups_of(records, owner, members, "album") if members else {},
            look_into(records, owner, shown),
            {key: _slots(ui, owner, key) for key in sets},
        )

    def names(self) -> str:
        """Return the albums' names as HTML that fields propose."""
        options = "".join(f'<option value="{escape(name)}">' for name in self.albums.values())
        return f'<datalist id="albums">{options}</datalist>'

    def show(self, thing: Thing, more: str = "") -> str:
        """Return the card as HTML; `more` is HTML that is said of it, too."""
        name = thing_name(self.ui.t, thing)
        image, body = self._shown(thing, name)
        rows = [f'<div class="st-row">{row}</div>' for row in (self._chips(thing, name), self._buttons(thing, name))]
        return card(image, [*body, more, *rows], thing.kind)

    def _shown(self, thing: Thing, name: str) -> tuple[str, list[str]]:
        """The picture, with where it leads, and what is said below it."""
        t, key, title = self.ui.t, str(thing.facts.get("picture", "")), f"<strong>{escape(name)}</strong>"
        when = f"<span class='st-soft'>{show_moment(thing.created)}</span>"
        if thing.kind == "post":
            return self._post(thing, name, [title, when])
        if thing.kind == "album":
            return self._album(thing, name)
        if address := self._address(thing):
            image = f'<a href="{escape(address)}">{picture(key, name)}</a>' if key else ""
            return image, [
                f'<a href="{escape(address)}" title="{escape(t("library.open", name=name))}">{title}</a>',
                when,
            ]
        return picture(key, name) if key else "", [title, when]

    def _post(self, thing: Thing, name: str, said: list[str]) -> tuple[str, list[str]]:
        """A post as its set shows it now; where the set cannot be read, as it was drawn."""
        t, facts = self.ui.t, thing.facts
        slot = self.slots[str(facts["set"])].get(int(facts["number"]))
        key, large = (str(facts["picture"]),) * 2 if slot is None else (slot.post.picture, slot.post.large)
        if slot is not None:
            shot = escape(describe_shot(t, slot.post.shot))
            scores = show_scores(self.ui, slot.post.scores, slot.post.shot)
            said = [*said, f"<span class='st-soft'>{shot}</span>", f"<span>{scores}</span>", escape(slot.caption)]
        return f'<a href="{file_url(large)}" target="_blank">{picture(key, name, large=large)}</a>', said

    def _album(self, thing: Thing, name: str) -> tuple[str, list[str]]:
        t, album = self.ui.t, thing.id.partition(":")[2]
        inside, url = self.inside[album], f"{self.ui.url('library')}?album={quote(album)}"
        label = escape(t("album.rename", name=name))
        field = (
            f'<input type="text" maxlength="60" data-do="rename-album" data-thing="{escape(thing.id)}" '
            f'data-key="rename-{escape(thing.id)}" value="{escape(name)}" aria-label="{label}">'
        )
        image = picture(inside.picture, name) if inside.picture else '<div class="st-blank"></div>'
        count = escape(t("album.count", count=inside.count))
        return f'<a href="{url}">{image}</a>', [field, f"<span class='st-soft'>{count}</span>"]

    def _address(self, thing: Thing) -> str:
        """Return where a thing is opened; "" where it is shown whole on its card."""
        key = thing.id.partition(":")[2]
        if thing.kind == "posts":
            return set_url(self.ui, key)
        if thing.kind == "post":
            return set_url(self.ui, str(thing.facts["set"]))
        if thing.kind == "consolidate":
            return f"{self.ui.url('library')}?persona={quote(key)}"
        return f"{self.ui.url('library')}?album={quote(key)}" if thing.kind == "album" else ""

    def _chips(self, thing: Thing, name: str) -> str:
        """Tags and albums, each with what takes it off, and a field for more."""
        t, owned = self.ui.t, str(thing.marks.get("tags", "")).split()
        chips = "".join(
            button(f"{tag} ×", "untag", title=t("library.untag", tag=tag), thing=thing.id, tag=tag) for tag in owned
        )
        chips += self._field(thing, "tag", t("library.tag_hint"), t("library.add_tag", name=name))
        if thing.kind not in MEMBERS:
            return chips
        for album in (group.partition(":")[2] for group in self.groups.get(thing.id, ())):
            if album in self.albums:  # the others are in the trash
                title = t("album.take_out", name=self.albums[album])
                chips += button(f"▣ {self.albums[album]} ×", "take-out", title=title, thing=thing.id, album=album)
        return chips + self._field(thing, "put-into", t("album.hint"), t("album.put_into", name=name), "albums")

    def _field(self, thing: Thing, do: str, hint: str, label: str, known: str = "") -> str:
        choices = f' list="{known}"' if known else ""
        return (
            f'<input class="st-tag" type="text" maxlength="60" data-do="{do}" data-thing="{escape(thing.id)}" '
            f'data-key="{do}-{escape(thing.id)}" placeholder="{escape(hint)}" aria-label="{escape(label)}"{choices}>'
        )

    def _buttons(self, thing: Thing, name: str) -> str:
        t, trashed = self.ui.t, bool(thing.marks.get("trashed"))
        star = button("★", "star", pressed=thing.favourite, title=t("library.star", name=name), thing=thing.id)
        if trashed:
            return star + button(t("restore"), "restore", thing=thing.id)
        address = self._address(thing)
        opens = link(t("job.open"), address, big=False) if address else ""
        if thing.kind in FACED:
            title = t("faces.find_what", name=name)
            star += button(t("faces.find"), "find-face", title=title, thing=thing.id, seek="like")
        if thing.kind == "post":  # it goes with its set, or is left out of it there
            disliked = bool(thing.marks.get("disliked"))
            title = t("library.dislike", name=name)
            star += button(t("select.dislike"), "dislike", pressed=disliked, title=title, thing=thing.id)
            return star + link(t("library.open_set"), address, big=False)
        return star + opens + button(t("trash"), "trash", quiet=True, thing=thing.id)


def _slots(ui: Ui, owner: str, key: str) -> Mapping[int, Slot]:
    """Return a set's posts by their numbers, as a person arranged them; none where the set cannot be read."""
    try:
        post_set = ui.find(owner, PostSet, key)
    except StudioError:
        return {}
    if post_set is None:
        return {}
    return {slot.number: slot for slot in arrange_shown(ui, owner, post_set).slots}
