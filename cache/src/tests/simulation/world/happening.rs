//! What happens in a world, one thing at a time.

use std::sync::Arc;
use std::time::Duration;

use session::{Ending, Merge, OnConflict, Patch, Principal, Selector, Whose, Why};
use storage::Unavailable;
use tokio::time::Instant;

use super::judging::{Answer, Begun};
use super::{Heard, Node, SAME, WHO, World};
use crate::tests::simulation::chance::Chance;
use crate::{Absence, Cache, Find, Patched, Renew, Renewal, Survey};

/// What happens.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Find,
    List,
    Patch,
    Renew,
    End,
    EndByHandle,
    EndAll,
    Crash,
    Cut,
    Gap,
    Clock,
}

impl World {
    pub(super) fn event(&self, chance: &mut Chance) -> Event {
        let rough = if self.kind.is_rough { 100 } else { 88 };
        match chance.below(rough) {
            0..25 => Event::Find,
            25..35 => Event::List,
            35..60 => Event::Patch,
            60..68 => Event::Renew,
            68..74 => Event::End,
            74..77 => Event::EndByHandle,
            77..82 => Event::EndAll,
            82..85 => Event::Clock,
            85..88 => Event::Gap,
            88..94 => Event::Cut,
            _ => Event::Crash,
        }
    }

    pub(super) async fn happens(&self, number: u64, event: Event, node: usize, chance: &mut Chance) {
        let Node { life, cache, line, house, survey } = self.node(node);
        self.note(format_args!("node {node} {event:?} {number}"));
        let begun = self.begin(node, life);
        match event {
            Event::Find => {
                let answer = self.find(&cache, chance).await;
                self.hears(&begun, "find", answer);
            }
            Event::List => {
                let answer = self.list(&cache, &survey).await;
                self.hears(&begun, "list", answer);
            }
            Event::Patch => self.patch(&cache, begun, number, chance).await,
            Event::Renew => self.renew(&cache, begun, chance).await,
            Event::End | Event::EndByHandle | Event::EndAll => self.end(&cache, begun, event).await,
            Event::Crash => {
                line.kill();
                house.abort();
                self.times[node].forget();
                let started = self.start(node, life + 1);
                self.nodes.lock()[node] = started;
            }
            Event::Cut => {
                let until = Instant::now() + Duration::from_millis(chance.below(2_000));
                self.network.cut(node, until, chance);
            }
            Event::Gap => {
                self.network.deafen(node, Instant::now() + Duration::from_millis(chance.below(400)))
            }
            Event::Clock => {
                // What was written of a carried session is kept for a minute, by the clocks of those who wrote it.
                let furthest = if self.kind.is_carried { 10_000 } else { 600_000 };
                let ahead = chance.below(2 * furthest) as i64 - furthest as i64;
                self.times[node].set(ahead);
            }
        }
    }

    async fn find(&self, cache: &Cache, chance: &mut Chance) -> Answer {
        let (tickets, cookies) = {
            let told = self.told.lock();
            (told.tickets.clone(), told.cookies.clone())
        };
        let of_all = tickets.len() + cookies.len();
        let at = chance.below(of_all as u64) as usize;
        match tickets.get(at) {
            Some(ticket) => self.found(cache.find(ticket, &self.application).await),
            None => self.found(cache.find_carried(&cookies[at - tickets.len()], &self.application).await),
        }
    }

    async fn list(&self, cache: &Cache, survey: &Arc<Survey<Heard>>) -> Answer {
        let (handle, mut is_listed) = (self.session().handle, false);
        let each = |heard: &Heard| {
            is_listed |= heard.0 == handle;
            true
        };
        match cache.survey(survey, Some(&[]), each).await {
            Ok(()) if is_listed => Answer::Live,
            Ok(()) if self.kind.is_carried || self.told.lock().is_end_asked => Answer::Unknown,
            Ok(()) => Answer::Absent,
            Err(_) => Answer::Unknown,
        }
    }

    fn found(&self, find: Result<Find, Unavailable>) -> Answer {
        match find {
            Ok(Find::Found(found)) => {
                let mut told = self.told.lock();
                told.tickets.extend(found.successor);
                told.cookies.extend(found.refreshed);
                Answer::Live
            }
            Ok(Find::Ended(_)) => Answer::Over,
            // Of tickets before the last but one nothing is kept.
            Ok(Find::Absent(Absence::WrongSecret)) => Answer::Unknown,
            Ok(Find::Absent(_)) => Answer::Absent,
            Err(_) => Answer::Unknown,
        }
    }

    async fn patch(&self, cache: &Cache, begun: Begun, number: u64, chance: &mut Chance) {
        // Now and then one that others change as well, without having seen what they changed it to.
        let name = if chance.comes(25) { SAME.to_owned() } else { format!("k{number}") };
        let mut patch = Patch::new(self.session().revision);
        patch.set(&name, number.to_string().into());
        let cookies = self.told.lock().cookies.clone();
        let (handle, on_conflict) = (self.session().handle, OnConflict::KeepFirst);
        let patched = if self.kind.is_carried {
            let cookie = chance.one(&cookies);
            let patched =
                cache.patch_carried(cookie, &patch, on_conflict, &self.application, self.fits).await;
            if let Ok(Patched::Merged(session, _)) = &patched {
                let next = cache.carry(cookie, Arc::clone(session), &self.application);
                self.told.lock().cookies.extend(next);
            }
            patched
        } else {
            cache.patch(&handle, &patch, on_conflict, &self.application).await
        };
        let is_kept = |merge: &Merge| merge.conflicts.is_empty();
        let mut is_done = false;
        let answer = match patched {
            Ok(Patched::Merged(_, merge)) => {
                is_done = is_kept(&merge);
                Answer::Live
            }
            Ok(Patched::Moved(_, ticket, merge)) => {
                is_done = is_kept(&merge);
                self.told.lock().tickets.push(ticket);
                Answer::Live
            }
            Ok(Patched::Ended(_)) => Answer::Over,
            Ok(Patched::Absent) => Answer::Absent,
            Ok(other) => panic!("this does not happen here: {other:?}"),
            Err(_) => Answer::Unknown,
        };
        if is_done && self.node(begun.node).life == begun.life {
            self.acknowledges(&name, number);
        }
        self.hears(&begun, &format!("patch {name}"), answer);
    }

    async fn renew(&self, cache: &Cache, begun: Begun, chance: &mut Chance) {
        let tickets = self.told.lock().tickets.clone();
        if tickets.is_empty() {
            return;
        }
        let ticket = chance.one(&tickets);
        let renewal = Renewal {
            login: None,
            patch: Patch::new(session::Revision(0)),
            on_conflict: OnConflict::Overwrite,
        };
        let answer = match cache.renew(&ticket.handle, &ticket.secret, &renewal, &self.application).await {
            Ok(Renew::Renewed(_, next, _)) => {
                self.told.lock().tickets.push(next);
                Answer::Live
            }
            Ok(_) => Answer::Unknown,
            Err(_) => {
                self.told.lock().is_ticket_lost = true;
                Answer::Unknown
            }
        };
        self.hears(&begun, "renew", answer);
    }

    async fn end(&self, cache: &Arc<Cache>, begun: Begun, event: Event) {
        self.told.lock().is_end_asked = true;
        let session = self.session();
        let ending = Ending::new(cache.now(), Why::Logout, "test");
        let answer = match event {
            Event::EndAll => {
                let selector = Selector::person(Principal::named("test", WHO));
                // Nothing waits here: whoever asked is told to ask again.
                cache.end_where(selector, ending).await.map_or(Answer::Unknown, |_| Answer::Over)
            }
            Event::EndByHandle => {
                let selector = Selector::all(Whose::Handles(vec![session.handle]));
                cache.end_where(selector, ending).await.map_or(Answer::Unknown, |_| Answer::Over)
            }
            _ => {
                let ended = cache.end(&session, ending, &self.application).await;
                ended.map_or(Answer::Waits, |_| Answer::Over)
            }
        };
        self.hears(&begun, "end", answer);
    }
}
