//! The session cache under attack: every law of the design, over every engine, with faults.
//!
//! A test is a plain function of a [`Fixture`], and `on_every_engine!` runs it over each of them. Interleavings that
//! matter are forced with gates of [`storage::faulty`]; where chance does the work it is seeded, and the seed is said.

#![allow(clippy::indexing_slicing, reason = "these are tests")]

mod addresses;
mod asserting;
mod browsing;
mod carrying;
mod chance;
mod endings;
mod failing_over;
mod finding;
mod fixture;
mod foreign;
mod gathering;
mod handing_over;
mod indexing;
mod limit;
mod logouts;
mod nodes;
mod once;
mod outage_kit;
mod outages;
mod outbox;
mod patching;
mod presence;
mod probe;
mod receipts;
mod recovering;
mod renewing;
mod searching;
mod secrets;
mod simulation;
mod surveying;
mod threads;
mod timing;
mod token;
mod touching;
mod trusting;
mod walking;
mod why;

use fixture::{Engine, Fixture};

/// Runs tests over every engine. An engine more is a line more.
macro_rules! on_every_engine {
    ($($test:ident)*) => {
        $crate::tests::on_every_engine! { @engine memory Memory $($test)* }
        $crate::tests::on_every_engine! { @engine tiered Tiered $($test)* }
        $crate::tests::on_every_engine! { @engine embedded Embedded $($test)* }
    };
    (@engine $name:ident $engine:ident $($test:ident)*) => {
        mod $name {
            use $crate::tests::{Engine, Fixture};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(Fixture::over(Engine::$engine).await).await;
                }
            )*
        }
    };
}

use on_every_engine;
