//! Applications that share hosts and upstreams: what one believes does not come in by the path of another, and the
//! tickets of one do not go out there.

use std::time::Duration;

use crate::application::{status, update};
use crate::house::{Engine, House, until};
use crate::plan::{Plan, plan};

const MINUTE: Duration = Duration::from_secs(60);

/// A guarded application, and a shop, below a site that is proxied plainly.
async fn guarded_below_plain() -> House {
    let plans = vec![
        Plan { id: "site", is_plain: true, ..plan() },
        Plan { id: "admin", path: "/admin", login: Some(&["/admin"]), ..plan() },
        Plan { id: "shop", path: "/shop", ..plan() },
    ];
    House::over(Engine::Memory, plans).await
}

#[tokio::test]
async fn a_path_that_can_be_read_as_a_neighbours_is_refused() {
    let house = guarded_below_plain().await;
    let visitor = house.visitor();
    assert_eq!(visitor.get("/admin/x").await.status, 401);
    for path in ["/admin%2Fx", "/admin;a=1/x", "/admin%5Cx", "/x/%2e%2e/admin%2Fx", "//admin%2fx"] {
        let reply = visitor.get(path).await;
        assert_eq!(reply.status, 400, "{path}");
        assert!(reply.is_ours(), "{path} reached an application");
    }
    for path in ["/administration", "/a%2Fb", "/x;admin"] {
        assert_eq!(visitor.get(path).await.seen().by, "site", "{path}");
    }
}

#[tokio::test]
async fn plain_proxying_passes_nothing_that_a_neighbour_would_believe() {
    let house = guarded_below_plain().await;
    let visitor = house.visitor();
    let reply = visitor.get("/").header("X_Session", "user=ada").answered(update("a=1")).await;
    assert_eq!(reply.seen().by, "site");
    assert!(reply.seen().spellings("x-session").is_empty());
    assert_eq!(reply.header("x-replace-session"), None);
    assert!(reply.set_cookies().is_empty());
}

#[tokio::test]
async fn a_ticket_does_not_go_to_a_neighbour_nor_come_from_there() {
    let house = guarded_below_plain().await;
    let visitor = house.visitor();
    visitor.get("/shop").answered(update("basket=tea")).await;
    assert_eq!(visitor.get("/shop").await.session(), Some("basket=tea"));
    let planted =
        status(200).header("set-cookie", "session=planted; Path=/").header("set-cookie", "theirs=1");
    let reply = visitor.get("/").answered(planted).await;
    assert_eq!(reply.seen().header("cookie"), None);
    assert_eq!(reply.set_cookies(), ["theirs=1"]);
}

#[tokio::test]
async fn a_session_that_is_over_only_here_keeps_its_cookie() {
    let plans = vec![
        Plan { id: "shop", hosts: &["shop.example"], ..plan() },
        Plan { id: "bank", hosts: &["bank.example"], idle: 5 * MINUTE, ..plan() },
    ];
    let house = House::over(Engine::Memory, plans).await;
    let shop = house.visitor().at("shop.example");
    shop.get("/").answered(update("basket=tea")).await;
    house.time_passes(6 * MINUTE);
    let reply = shop.at("bank.example").get("/").answered(update("seen=1")).await;
    assert!(reply.set_cookies().is_empty(), "the basket would be lost");
    assert_eq!(house.counted("updates", "alive_elsewhere"), 1);
    assert_eq!(shop.get("/").await.session(), Some("basket=tea"));
}

#[tokio::test]
async fn a_background_request_that_empties_a_session_deletes_no_cookie() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let reply = visitor.get("/").answered(update("a=")).fetching().await;
    assert!(reply.set_cookies().is_empty(), "its answer may come after that of a login");
    until("the end", async || house.stored().await == 0).await;
    assert_eq!(visitor.get("/").navigating().await.session(), None);
}
