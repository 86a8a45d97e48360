//! How many of those who wait to write share a transaction.
//!
//! What makes writing slow is the commit, and one commit makes any number of writes durable. So whoever comes while
//! another transaction is under way waits for the next one, together with all others who wait.

use storage::Operation;

/// After so many bytes of values a transaction takes no more.
const MAX_GROUP_BYTES: usize = 16 << 20;

/// How many of those that wait, from the first one on, go into one transaction: at least one.
pub(super) fn fitting<T>(waiting: &[T], bytes: impl Fn(&T) -> usize) -> usize {
    let mut sum = 0;
    let fits = |one: &&T| {
        let fits = sum < MAX_GROUP_BYTES;
        sum += bytes(one);
        fits
    };
    waiting.iter().take_while(fits).count()
}

/// About how much an operation adds to a transaction.
pub(super) fn bytes(operation: &Operation) -> usize {
    match operation {
        Operation::Create(_, new) => new.value.len(),
        Operation::Update(_, new) => new.value.len(),
        Operation::Touch(..) | Operation::Bury(..) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_full_after_so_many_bytes_and_never_empty() {
        let fitting = |sizes: &[usize]| fitting(sizes, |size| *size);
        assert_eq!(fitting(&[]), 0);
        assert_eq!(fitting(&[1, 2, 3]), 3);
        assert_eq!(fitting(&[MAX_GROUP_BYTES * 2, 1]), 1);
        assert_eq!(fitting(&[MAX_GROUP_BYTES - 1, 1, 1]), 2);
    }
}
