//! An application's answer that is awaited, also when nobody waits for it any more.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::application::Application;
use crate::service::Service;
use crate::upstream::{Answer, Download, UpstreamError};
use crate::visit::Visit;

/// How long the answer to a visitor who has left is awaited, whatever the application's own bound is.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// An answer under way, for a visit whose session it may change.
///
/// A visitor who goes elsewhere before the answer is there drops the request; but the application may have done what
/// it was asked to, and says in its answer what that changed in the session. So the answer is awaited all the same, its
/// update applied, and the rest of it dropped (law 2). Who has no session is not waited for: the cookie of a new one
/// would reach nobody, and strangers could keep applications busy by going away.
pub(crate) struct Awaited {
    answer: Option<Answer>,
    service: Arc<Service>,
    application: Arc<Application>,
    visit: Visit,
}

impl Awaited {
    pub(crate) const fn new(
        answer: Answer,
        service: Arc<Service>,
        application: Arc<Application>,
        visit: Visit,
    ) -> Self {
        Self { answer: Some(answer), service, application, visit }
    }

    pub(crate) async fn wait(mut self) -> (Result<Response<Download>, UpstreamError>, Visit) {
        let answered = match &mut self.answer {
            Some(answer) => answer.await,
            // It is there from the beginning; the compiler cannot know.
            None => std::future::pending().await,
        };
        self.answer = None;
        (answered, std::mem::take(&mut self.visit))
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let (Some(answer), Ok(runtime)) = (self.answer.take(), Handle::try_current()) else { return };
        if self.visit.session.is_none() {
            return;
        }
        answer.is_nobodys();
        // A stranger who comes and goes all the time is not waited for without end.
        let Ok(room) = Arc::clone(&self.service.late).try_acquire_owned() else {
            self.service.counters.update("left_in_a_crowd");
            return;
        };
        let (service, application) = (Arc::clone(&self.service), Arc::clone(&self.application));
        let visit = Visit { has_left: true, ..std::mem::take(&mut self.visit) };
        // A graceful stop waits for it.
        let tasks = self.service.under_way.clone();
        let late = async move {
            let Some(sessions) = &application.sessions else { return };
            let _room = room;
            let Ok(Ok(mut answer)) = timeout(LONGEST_WAIT, answer).await else { return };
            let updates = sessions.update.take(answer.headers_mut());
            if let Err(error) = service.update(&application, visit, updates).await {
                tracing::warn!(%error, application = %application.id, "an update was lost, and its visitor had left");
            }
        };
        tasks.spawn_on(late, &runtime);
    }
}
