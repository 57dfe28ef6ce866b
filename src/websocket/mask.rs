//! Masking (RFC 6455 section 5.3): a client XORs each payload byte with one of the four bytes of the masking key.
//!
//! It keeps no secret. It makes what a client puts on the wire unpredictable to the script that asked for it, so that
//! no proxy in between can be tricked into caching it as something else (section 10.3).

/// Masks or unmasks `payload` in place: the two are the same.
///
/// `offset` is how many payload bytes of the same frame came before, when a frame arrives in pieces.
///
/// Eight bytes at a time, the key written out twice: the compiler turns this loop into vector instructions, and it is
/// the only loop that touches every byte a client sends.
pub fn apply(payload: &mut [u8], masking_key: [u8; 4], offset: u64) {
    let mut key = masking_key;
    key.rotate_left((offset % 4) as usize);
    let [a, b, c, d] = key;
    let twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);

    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ twice).to_ne_bytes();
    }
    for (byte, key_byte) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key_byte;
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use proptest::prelude::*;

    /// The RFC's formula, word for word: octet i of the payload with octet i MOD 4 of the key.
    fn naive(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
    }

    proptest! {
        /// docs/rfc6455.md row 31: every alignment, and a mask split at any place.
        #[test]
        fn unmasking_in_any_pieces_equals_the_formula_of_the_rfc(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            key in any::<[u8; 4]>(),
            cut in 0usize..200,
            misalign in 0usize..8,
        ) {
            let mut room = vec![0; misalign];
            room.extend_from_slice(&payload);
            let pieces = &mut room[misalign..];
            let cut = cut.min(pieces.len());
            let (first, second) = pieces.split_at_mut(cut);
            apply(first, key, 0);
            apply(second, key, cut as u64);
            prop_assert_eq!(&room[misalign..], &naive(&payload, key)[..]);
        }
    }
}
