//! Connections that change their protocol, WebSocket above all: bytes pass both ways from then on.

use http::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::service::Service;
use crate::upstream::Download;

impl Service {
    /// Joins the client's connection with the application's once both have changed. A stop waits for it as for a
    /// request, and then cuts it off.
    pub(crate) fn open_tunnel(&self, client: OnUpgrade, answer: &mut Response<Download>) {
        let application = hyper::upgrade::on(&mut *answer);
        let busy = answer.body_mut().become_tunnel();
        let over = self.over.clone();
        self.under_way.spawn(async move {
            let _busy = busy;
            over.run_until_cancelled(join(client, application)).await
        });
    }
}

async fn join(client: OnUpgrade, application: OnUpgrade) {
    let (client, application) = match tokio::try_join!(client, application) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a connection did not change its protocol");
            return;
        }
    };
    let (mut client, mut application) = (TokioIo::new(client), TokioIo::new(application));
    if let Err(error) = copy_bidirectional(&mut client, &mut application).await {
        tracing::debug!(%error, "a tunnel broke off");
    }
}
