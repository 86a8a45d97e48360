//! What was told, and whether it is true.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Node, WINDOW, World};
use crate::Find;

/// What a node said of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Live,
    Over,
    Absent,
    /// Its end is not confirmed, and it is refused here.
    Waits,
    Unknown,
}

/// What was known when something began: by this it is judged.
pub(super) struct Begun {
    pub(super) node: usize,
    pub(super) life: u32,
    must_be_over: Option<&'static str>,
}

impl World {
    pub(super) fn begin(&self, node: usize, life: u32) -> Begun {
        let (told, now) = (self.told.lock(), Instant::now());
        let must_be_over = if told.over.iter().any(|(there, _)| *there == node) {
            Some("it was told here that it is over")
        } else if told.over.iter().any(|(_, when)| now >= *when + WINDOW) {
            Some("it was told elsewhere, longer ago than the trust window")
        } else if told.waiting.contains(&(node, life)) {
            Some("its end waits here")
        } else {
            None
        };
        Begun { node, life, must_be_over }
    }

    /// Something was told by a node; unless that has died meanwhile, it counts.
    pub(super) fn hears(&self, begun: &Begun, what: &str, answer: Answer) {
        if self.node(begun.node).life != begun.life {
            return;
        }
        self.note(format_args!("node {} {what}: {answer:?}", begun.node));
        match answer {
            Answer::Live => {
                if let Some(why) = begun.must_be_over {
                    self.violate(format!("law 1: {what} on node {} has it live, and {why}", begun.node));
                }
            }
            Answer::Over => {
                let mut told = self.told.lock();
                told.over.push((begun.node, Instant::now()));
                if !told.is_end_asked {
                    drop(told);
                    self.violate(format!("law 3: {what} on node {} says it is over", begun.node));
                }
            }
            Answer::Absent => {
                self.violate(format!("law 3: {what} on node {} says there is none", begun.node));
            }
            Answer::Waits => self.told.lock().waiting.push((begun.node, begun.life)),
            Answer::Unknown => {}
        }
    }

    /// Who changes an entry that somebody else has changed meanwhile is told. All know of the session as it was opened: so of all
    /// who set the same, one may believe that it was done.
    pub(super) fn acknowledges(&self, name: &str, number: u64) {
        let mut told = self.told.lock();
        let is_first = !told.merged.iter().any(|(merged, _)| merged == name);
        told.merged.push((name.to_owned(), number));
        drop(told);
        if !is_first {
            self.violate(format!("law 2: {name} was changed from what it was, twice"));
        }
    }

    /// All is well again: what was told must be so everywhere, also for a node that begins now.
    pub(super) async fn judge_at_the_end(self: &Arc<Self>) {
        let fresh = self.start(0, u32::MAX);
        let mut nodes = self.nodes.lock().clone();
        nodes.push(fresh.clone());
        let (tickets, cookies, merged, is_over, is_end_asked, is_ticket_lost) = {
            let told = self.told.lock();
            let (is_over, lost) = (!told.over.is_empty(), told.is_ticket_lost);
            (
                told.tickets.clone(),
                told.cookies.clone(),
                told.merged.clone(),
                is_over,
                told.is_end_asked,
                lost,
            )
        };
        for (number, Node { cache, .. }) in nodes.iter().enumerate() {
            let mut finds = Vec::new();
            for ticket in &tickets {
                finds.push(cache.find(ticket, &self.application).await);
            }
            for cookie in &cookies {
                finds.push(cache.find_carried(cookie, &self.application).await);
            }
            let mut is_found = false;
            for find in finds {
                match find {
                    Ok(Find::Found(_)) if is_over => {
                        self.violate(format!("law 1: at the end node {number} has it live"));
                    }
                    Ok(Find::Found(found)) => {
                        is_found = true;
                        for (name, value) in &merged {
                            let there = found.session.entries.iter().find(|(there, _)| there == name);
                            if there.is_none_or(|(_, there)| *there != value.to_string().into()) {
                                self.violate(format!(
                                    "law 2: at the end node {number} has not {name} = {value}"
                                ));
                            }
                        }
                    }
                    Ok(_) => {}
                    Err(error) => self.violate(format!("at the end node {number} cannot say: {error}")),
                }
            }
            if !is_found && !is_end_asked && !is_ticket_lost {
                self.violate(format!("law 3: at the end node {number} has nothing, and nobody ended it"));
            }
        }
        fresh.house.abort();
    }
}
