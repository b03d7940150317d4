//! Looking for a place while there is none: whom to ask, how often, and when to give up.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{
    neighbour::Neighbour,
    person::Peer,
    wire::message::{Candidate, Refusal},
};

use super::{Errand, MAX_REDIRECTS, Output, Place, Tree, Why, spread};

/// How long a member without a parent goes on looking before it takes the room for gone. Longer than a host's Wi-Fi
/// takes to come back, shorter than people stare at silence.
pub const SEEK_LIMIT: Duration = Duration::from_secs(30);

/// Pause between two rounds of looking for members, so that a vanished room is not hammered. As much again is added
/// at random: a crowd that found no place does not come back at once.
const SEEK_PAUSE: Duration = Duration::from_secs(1);

/// How often those whom a redirect named are dialled again: once for each of them.
const MOST_TURNS: u8 = crate::limits::CANDIDATES as u8;

/// Links remembered on which a wish was refused in one round: a member has a few open ones, and fewer of its own.
const MOST_REFUSED: usize = 64;

/// The search for a place.
#[derive(Debug)]
pub(super) struct Search {
    why: Why,
    /// When it began.
    since: Duration,
    /// When the next round of looking is due; `None` while one is under way.
    due: Option<Duration>,
    /// How many redirects were followed.
    redirects: u8,
    /// Whom the last redirect named, but those who were asked since.
    leads: Vec<Candidate>,
    /// How often they were dialled.
    turns: u8,
    /// Those on whose links this round's wish was refused.
    refused: Vec<Neighbour>,
    /// How many rounds there were.
    rounds: u32,
    /// Whether it was told that there is no place.
    is_told: bool,
    /// The last refusal, to be shown if it comes to nothing.
    refusal: Option<Refusal>,
}

impl Search {
    pub(super) fn new(why: Why, now: Duration) -> Self {
        Self {
            why,
            since: now,
            due: None,
            redirects: 0,
            leads: Vec::new(),
            turns: 0,
            refused: Vec::new(),
            rounds: 0,
            is_told: why == Why::Attached,
            refusal: None,
        }
    }

    /// Why a place that is found will have been taken.
    pub(super) fn why(&self) -> Why {
        match self.why {
            Why::Attached if self.redirects > 0 => Why::Redirected,
            why => why,
        }
    }

    pub(super) fn redirects(&self) -> u8 {
        self.redirects
    }

    /// Counts a redirect to these; `false` when it was one too many.
    pub(super) fn note_redirect(&mut self, leads: &[Candidate]) -> bool {
        self.redirects = self.redirects.saturating_add(1);
        self.due = None;
        let is_followed = self.redirects <= MAX_REDIRECTS;
        if is_followed {
            self.leads = leads.to_vec();
            self.turns = 0;
        }
        is_followed
    }

    /// Remembers that a member is being asked: it is no lead any more.
    pub(super) fn note_asked(&mut self, peer: Peer) {
        self.leads.retain(|lead| lead.peer != peer);
    }

    /// Remembers why a member said no.
    pub(super) fn note_refused(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
    }

    /// Remembers who said no, and why. It is not asked again in this round.
    pub(super) fn note_refused_on(&mut self, link: Neighbour, refusal: Refusal) {
        self.note_refused(refusal);
        self.note_no_place(link);
    }

    /// Remembers that there was no place on a link in this round, which may be kept for another use.
    pub(super) fn note_no_place(&mut self, link: Neighbour) {
        if self.refused.len() < MOST_REFUSED {
            self.refused.push(link);
        }
    }

    /// Whom a redirect named and nobody has asked yet. When there is nobody left the next round is redirected anew.
    fn next_leads(&mut self) -> Vec<Candidate> {
        self.turns = self.turns.saturating_add(1);
        if self.turns >= MOST_TURNS {
            self.leads.clear();
        }
        if self.leads.is_empty() {
            self.redirects = 0;
        }
        self.leads.clone()
    }

    /// It began so much later: for that long nobody looked.
    pub(super) fn forgive(&mut self, slept: Duration) {
        self.since += slept;
    }

    /// A place was found.
    pub(super) fn end(&mut self) {
        self.due = None;
        self.refusal = None;
        self.redirects = 0;
        self.leads.clear();
        self.refused.clear();
    }
}

impl Tree {
    /// The parent is gone: turns to the standby, or looks for any other place.
    pub(super) fn lose_parent(&mut self, why: Why, now: Duration) {
        if self.may_be_root() {
            return self.become_root(now);
        }
        self.place = Place::Seeking;
        self.search = Search::new(why, now);
        self.outputs.push_back(Output::Parent(None));
        // A wish that is under way is for a place all the same.
        if let Some(asked) = &mut self.asked {
            asked.why = why;
            return;
        }
        if let Some(standby) = self.standby.held() {
            return self.ask(standby, why, now);
        }
        self.look_around(now);
    }

    /// Goes on looking after an attempt came to nothing.
    pub(super) fn seek_on(&mut self, now: Duration) {
        if self.place != Place::Seeking || self.asked.is_some() {
            return;
        }
        if !self.search.is_told {
            return self.look_around(now);
        }
        if let Some(link) = self.someone_linked() {
            return self.ask(link, self.search.why(), now);
        }
        let leads = self.search.next_leads();
        if !leads.is_empty() {
            return self.outputs.push_back(Output::Dial {
                errand: Errand::Place,
                candidates: leads,
            });
        }
        if self.search.due.is_none() {
            let turn = self.search.rounds;
            self.search.due = Some(now + SEEK_PAUSE + spread(self.me.peer, turn, SEEK_PAUSE));
        }
    }

    /// Someone who was asked to let this member in said no; the last one is told if nothing comes of the search.
    pub fn note_refused(&mut self, refusal: Refusal) {
        self.search.note_refused(refusal);
    }

    /// The next round of looking is due now.
    pub fn seek_at_once(&mut self, now: Duration) {
        self.search.due = Some(now);
    }

    /// Whether there is no place, and nobody who was asked for one.
    #[must_use]
    pub fn is_idle_without_place(&self) -> bool {
        self.place == Place::Seeking && self.asked.is_none() && self.someone_linked().is_none()
    }

    /// What the last who was asked for a place said.
    pub fn last_refusal(&mut self) -> Option<Refusal> {
        self.search.refusal.take()
    }

    /// A link that this end opened came to its end before it was open.
    pub fn handle_never_open(&mut self, now: Duration) {
        self.seek_on(now);
    }

    /// Nobody was reached for this errand.
    pub fn handle_nobody_found(&mut self, errand: Errand, now: Duration) {
        match errand {
            Errand::Place => {
                self.search.leads.clear();
                self.seek_on(now);
            }
            Errand::Move => self.moving.end(),
            Errand::Standby => self.handle_standby_unreached(now),
            Errand::Uplink => {}
        }
    }

    pub(super) fn search_due(&self) -> Option<Duration> {
        let limit = self.search.since + SEEK_LIMIT;
        (self.place == Place::Seeking).then(|| self.search.due.map_or(limit, |due| due.min(limit)))
    }

    pub(super) fn search_if_due(&mut self, now: Duration) {
        if self.search_due().is_none_or(|due| due > now) {
            return;
        }
        if now >= self.search.since + SEEK_LIMIT {
            let refusal = self.search.refusal.take();
            return self.outputs.push_back(Output::GaveUp(refusal));
        }
        self.search.due = None;
        self.search.refused.clear();
        self.search.rounds += 1;
        self.outputs.push_back(Output::Seek);
    }

    /// The first steps of a search after a place was lost: who is linked already, then whom the parent told of.
    fn look_around(&mut self, now: Duration) {
        self.search.is_told = true;
        self.outputs.push_back(Output::Lost);
        if let Some(link) = self.someone_linked() {
            return self.ask(link, self.search.why(), now);
        }
        let known = self.acquaintances();
        self.outputs.push_back(if known.is_empty() {
            Output::Seek
        } else {
            Output::Dial {
                errand: Errand::Place,
                candidates: known,
            }
        });
    }

    /// An open link to someone who may be asked: that to the root first, never one to a child.
    fn someone_linked(&self) -> Option<Neighbour> {
        let root = self.around.root.as_ref().map(|root| root.peer);
        self.links
            .iter()
            .filter(|(link, linked)| linked.ours && linked.is_ready && self.children.slot(**link).is_none())
            .filter(|(link, _)| !self.search.refused.contains(link))
            .min_by_key(|(_, linked)| Some(linked.candidate.peer) != root)
            .map(|(link, _)| *link)
    }
}
