//! The letters of a sealed session: base64url without padding (RFC 4648 section 5).
//!
//! A cookie has thousands of them, so they are read and written with wide instructions where the processor has such, which
//! is seen once at the first use.

use std::sync::LazyLock;

use base64::engine::general_purpose::NO_PAD;

#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
pub(crate) static BASE64URL: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::url_safe(NO_PAD));

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
pub(crate) static BASE64URL: LazyLock<base64::engine::GeneralPurpose> =
    LazyLock::new(|| base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD));
