//! Which build this is.

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Registers what tells builds apart.
pub fn build_info(registry: &mut Registry, version: &'static str) {
    let info = Info::new(vec![("version", version)]);
    registry.register(
        "build",
        "The version of this build; always 1. Two of them at once: nodes differ",
        info,
    );
}
