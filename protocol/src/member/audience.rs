//! Who listens: a page of names on request, each signed by its owner.
//!
//! Nobody knows all who are there. The members of a tree stand in one order, each before those below it; a request goes
//! up to the root, and from there down to whoever has the place that it asks for, on the way that the counts of the
//! reports show. Places shift when people come and go; two pages may then name someone twice or not at all.
//!
//! Invariant: a request makes at most one of each link on one path, and what a link may ask for is bounded.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{
    identity::Profile,
    limits,
    neighbour::Neighbour,
    reason::Reason,
    signed::{Signed, Verified},
    tree::Place,
    wire::message::{Audience, AudienceWanted, Message, Refusal},
};

use super::{CommandId, Member, Output, budget::Budget, refusal};

/// Pages a second that one link may ask for, and at once: a page in a tree of small branches takes several requests.
const LINK_RATE: u32 = 1;
const LINK_BURST: u32 = 16;

/// Those that this member asks for or answers in all: 20 kbit/s on the path of those who do nothing but ask.
const RATE: u32 = 1;
const BURST: u32 = 32;

/// Requests whose answers have not come. More is a crowd that the budgets would refuse.
const MOST_ASKED: usize = 64;

/// How long an answer takes at most: up and down eight hops that lose a message each.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most requests for one page of this person's own.
const STEPS: u8 = 16;

/// What a member knows of requests for names.
#[derive(Debug)]
pub(super) struct Asking {
    next: u32,
    asked: BTreeMap<u32, Asked>,
    all: Budget,
}

/// A request that was passed on.
#[derive(Debug)]
struct Asked {
    to: Neighbour,
    whose: Whose,
    /// The place of the branch that is asked, among those of who asked; and how many are in it, when it is below.
    offset: u32,
    size: Option<u32>,
    deadline: Duration,
}

#[derive(Debug)]
enum Whose {
    /// Of a neighbour, under its number.
    Link(Neighbour, u32),
    /// This person's.
    Own(Page),
}

/// A page of this person's own that is being put together.
#[derive(Debug)]
struct Page {
    command: CommandId,
    skip: u32,
    end: u32,
    steps: u8,
    people: Vec<Verified<Profile>>,
}

/// Where in a branch the places lie that are asked for.
enum Found {
    /// Here: the names, and the place behind them, if there may be one.
    Here(Vec<Signed<Profile>>, Option<u32>),
    /// In the branch of a child, which begins at `offset` and has `size` members.
    Below {
        child: Neighbour,
        offset: u32,
        size: u32,
    },
}

impl Asking {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            next: 0,
            asked: BTreeMap::new(),
            all: Budget::new(RATE, BURST, now),
        }
    }

    /// What one link may ask for.
    pub(super) fn link_budget(now: Duration) -> Budget {
        Budget::new(LINK_RATE, LINK_BURST, now)
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.asked.values().map(|asked| asked.deadline).min()
    }
}

impl Member {
    /// The person wants a page of the audience, from 0.
    pub(super) fn handle_audience_command(&mut self, command: CommandId, page: u32, now: Duration) {
        let most = limits::AUDIENCE as u32;
        let skip = page.saturating_mul(most);
        let page = Page {
            command,
            skip,
            end: skip.saturating_add(most),
            steps: 0,
            people: Vec::new(),
        };
        self.go_on(page, now);
    }

    /// Somebody asks for names: from below, for the whole room; from above, for the branch here.
    pub(super) fn handle_audience_wanted(&mut self, link: Neighbour, wanted: AudienceWanted, now: Duration) {
        let parent = self.place().parent();
        let is_child = self.tree.children().any(|child| child == link);
        let of_link = self.links.get_mut(&link);
        let may = of_link.is_some_and(|link| link.audience.take(1, now));
        if !may || !(is_child || parent == Some(link)) || !self.asking.all.take(1, now) {
            // Who asks too much, or from nowhere, waits in vain.
            return;
        }
        let AudienceWanted { number, skip, most } = wanted;
        let whose = Whose::Link(link, number);
        match parent.filter(|_| is_child) {
            Some(parent) => self.ask(parent, whose, (0, None), (skip, most), now),
            None if is_child && *self.place() != Place::Root => {}
            None => match self.find(skip, most) {
                Found::Here(people, next) => {
                    let answer = Audience { number, next, people };
                    self.send(link, Message::Audience(answer));
                }
                Found::Below { child, offset, size } => {
                    let skip = skip.saturating_sub(offset);
                    self.ask(child, whose, (offset, Some(size)), (skip, most), now);
                }
            },
        }
    }

    /// Names came: they go on to who asked.
    pub(super) fn handle_audience(&mut self, link: Neighbour, answer: Audience, now: Duration) {
        let is_of = |asked: &Asked| asked.to == link;
        if !self.asking.asked.get(&answer.number).is_some_and(is_of) {
            return;
        }
        let Some(asked) = self.asking.asked.remove(&answer.number) else {
            return;
        };
        // Behind the end of a branch the next one may begin.
        let next = match asked.size {
            Some(size) => Some(answer.next.unwrap_or(size).min(size)),
            None => answer.next,
        };
        let next = next.map(|next| asked.offset.saturating_add(next));
        let people = answer.people;
        match asked.whose {
            Whose::Link(to, number) => {
                if self.links.contains_key(&to) {
                    self.send(to, Message::Audience(Audience { number, next, people }));
                }
            }
            Whose::Own(page) => self.take_names(page, people, next, now),
        }
    }

    pub(super) fn forget_late_audience(&mut self, now: Duration) {
        if self.asking.due().is_none_or(|due| due > now) {
            return;
        }
        let all = core::mem::take(&mut self.asking.asked);
        let (late, waiting): (BTreeMap<_, _>, _) =
            all.into_iter().partition(|(_, asked)| asked.deadline <= now);
        self.asking.asked = waiting;
        for asked in late.into_values() {
            if let Whose::Own(page) = asked.whose {
                let why = refusal(Reason::Expired, "nobody answered: try again in a while");
                // What came is more than nothing.
                let found = !page.people.is_empty();
                let result = if found { Ok((page.people, true)) } else { Err(why) };
                self.tell_audience(page.command, result);
            }
        }
    }

    /// Asks for what is missing of a page, or tells it.
    fn go_on(&mut self, mut page: Page, now: Duration) {
        if page.skip >= page.end || page.steps >= STEPS {
            return self.tell_audience(page.command, Ok((page.people, true)));
        }
        page.steps += 1;
        let (skip, most) = (page.skip, u8::try_from(page.end - page.skip).unwrap_or(u8::MAX));
        if let Some(parent) = self.place().parent() {
            return self.ask(parent, Whose::Own(page), (0, None), (skip, most), now);
        }
        if *self.place() != Place::Root {
            let why = refusal(Reason::NotInTheRoom, "no place in the room now: try again");
            return self.tell_audience(page.command, Err(why));
        }
        match self.find(skip, most) {
            Found::Here(people, next) => self.take_names(page, people, next, now),
            Found::Below { child, offset, size } => {
                let skip = skip.saturating_sub(offset);
                self.ask(child, Whose::Own(page), (offset, Some(size)), (skip, most), now);
            }
        }
    }

    /// Adds names to a page of this person's own, those alone that their owners signed.
    fn take_names(&mut self, mut page: Page, people: Vec<Signed<Profile>>, next: Option<u32>, now: Duration) {
        for profile in people.into_iter().filter_map(|profile| profile.verify().ok()) {
            let is_known = page.people.iter().any(|known| known.person == profile.person);
            if !is_known && page.people.len() < limits::AUDIENCE && !self.is_on_stage(profile.person) {
                page.people.push(profile);
            }
        }
        match next.filter(|next| *next > page.skip) {
            Some(next) => {
                page.skip = next;
                self.go_on(page, now);
            }
            None => self.tell_audience(page.command, Ok((page.people, false))),
        }
    }

    fn tell_audience(&mut self, command: CommandId, result: Result<(Vec<Verified<Profile>>, bool), Refusal>) {
        self.outputs.push_back(Output::Audience { command, result });
    }

    /// Passes a request on, in a branch that lies at (offset, size), for (skip, most).
    fn ask(
        &mut self,
        to: Neighbour,
        whose: Whose,
        (offset, size): (u32, Option<u32>),
        (skip, most): (u32, u8),
        now: Duration,
    ) {
        if self.asking.asked.len() >= MOST_ASKED {
            self.asking.asked.pop_first();
        }
        self.asking.next = self.asking.next.wrapping_add(1);
        let number = self.asking.next;
        let deadline = now + PATIENCE;
        let asked = Asked {
            to,
            whose,
            offset,
            size,
            deadline,
        };
        self.asking.asked.insert(number, asked);
        self.send(to, Message::AudienceWanted(AudienceWanted { number, skip, most }));
    }

    /// Finds places of the branch here: this member is its first, then come the branches of its children.
    fn find(&self, skip: u32, most: u8) -> Found {
        let most = most.min(limits::AUDIENCE as u8);
        let end = skip.saturating_add(most.into());
        let mut people = Vec::new();
        if skip == 0 && most > 0 && !self.is_on_stage(self.config.key.person()) {
            people.push(self.profile.signed().clone());
        }
        let mut at = 1_u32;
        let children: Vec<Neighbour> = self.tree.children().collect();
        for child in children {
            let size = self.tree.members_below(child).unwrap_or(1).max(1);
            let behind = at.saturating_add(size);
            if at >= end {
                return Found::Here(people, Some(at));
            }
            if behind <= skip {
                at = behind;
                continue;
            }
            if size > 1 {
                let is_first = at <= skip || (skip == 0 && at == 1 && people.is_empty());
                if is_first {
                    let offset = at;
                    return Found::Below { child, offset, size };
                }
                return Found::Here(people, Some(at));
            }
            let profile = self.links.get(&child).and_then(|link| link.profile());
            let profile = profile.filter(|profile| !self.is_on_stage(profile.person));
            people.extend(profile.map(|profile| profile.signed().clone()));
            at = behind;
        }
        Found::Here(people, None)
    }
}
