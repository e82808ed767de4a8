//! The order in which Python 2 goes through a set or a dictionary of texts.
//!
//! Pure. Until 6.2 V8's runner is Python 2: shards are cut, and test262's feature flags are written, in the order of its
//! hash tables, which is the same on every machine of 64 bits.

/// Slots of a new table.
const SMALLEST: usize = 8;
/// Members from which on a set grows twofold instead of fourfold.
const LARGE: usize = 50_000;

/// Python 2's hash of a text's bytes.
fn hash(text: &str) -> u64 {
    let Some(first) = text.bytes().next() else { return 0 };
    let start = u64::from(first) << 7;
    let mixed = text.bytes().fold(start, |hash, byte| hash.wrapping_mul(1_000_003) ^ u64::from(byte));
    let hash = mixed ^ text.len() as u64;
    // -1 is an error to Python.
    if hash == u64::MAX { u64::MAX - 1 } else { hash }
}

/// A table of distinct texts, known by their position in the list they came from.
struct Table {
    slots: Vec<Option<u32>>,
    hashes: Vec<u64>,
    used: usize,
}

impl Table {
    fn with_slots(slots: usize) -> Self {
        Table { slots: vec![None; slots], hashes: Vec::new(), used: 0 }
    }

    fn place(&mut self, member: u32) {
        let hash = self.hashes[member as usize];
        let mask = self.slots.len() - 1;
        let (mut at, mut perturb) = (hash, hash);
        while self.slots[low(at) & mask].is_some() {
            at = (at << 2).wrapping_add(at).wrapping_add(perturb).wrapping_add(1);
            perturb >>= 5;
        }
        self.slots[low(at) & mask] = Some(member);
    }

    fn insert(&mut self, text: &str) {
        let member = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
        self.hashes.push(hash(text));
        self.place(member);
        self.used += 1;
        if self.used * 3 >= self.slots.len() * 2 {
            let wanted = if self.used > LARGE { self.used * 2 } else { self.used * 4 };
            let before = std::mem::replace(&mut self.slots, vec![None; larger_than(wanted)]);
            before.into_iter().flatten().for_each(|member| self.place(member));
        }
    }

    fn order(self) -> Vec<usize> {
        self.slots.into_iter().flatten().map(|member| member as usize).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "only the bits below a mask count")]
fn low(hash: u64) -> usize {
    hash as usize
}

fn larger_than(wanted: usize) -> usize {
    let mut slots = SMALLEST;
    while slots <= wanted {
        slots *= 2;
    }
    slots
}

/// Positions of distinct texts in the order of a set that they were added to one by one.
pub fn set_order<T: AsRef<str>>(texts: &[T]) -> Vec<usize> {
    let mut table = Table::with_slots(SMALLEST);
    texts.iter().for_each(|text| table.insert(text.as_ref()));
    table.order()
}

/// Positions of the distinct keys of a dictionary that is written down as such.
pub fn dict_order<T: AsRef<str>>(keys: &[T]) -> Vec<usize> {
    let slots = if keys.len() > 5 { larger_than(keys.len()) } else { SMALLEST };
    let mut table = Table::with_slots(slots);
    keys.iter().for_each(|key| table.insert(key.as_ref()));
    table.order()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'a>(texts: &[&'a str], order: &[usize]) -> Vec<&'a str> {
        order.iter().map(|at| texts[*at]).collect()
    }

    #[test]
    fn hashes_are_python_2s() {
        for (text, wanted) in
            [("", 0), ("default", 5_000_658_058_679_299_944), ("stress", -9_167_914_882_386_130_462)]
        {
            assert_eq!(hash(text).cast_signed(), wanted, "{text}");
        }
    }

    #[test]
    fn a_set_is_gone_through_as_python_2_does() {
        let variants = ["default", "stress", "nooptimization", "stress_asm_wasm", "wasm_traps"];
        let wanted = ["default", "stress_asm_wasm", "stress", "wasm_traps", "nooptimization"];
        assert_eq!(named(&variants, &set_order(&variants)), wanted);
        let mut turned = variants;
        turned.rotate_left(1);
        assert_eq!(named(&turned, &set_order(&turned)), wanted);
        assert!(set_order::<&str>(&[]).is_empty());
    }

    #[test]
    fn a_dictionary_is_gone_through_as_python_2_does() {
        let keys = [
            "object-rest",
            "object-spread",
            "async-iteration",
            "regexp-named-groups",
            "regexp-unicode-property-escapes",
            "regexp-lookbehind",
        ];
        let wanted = [
            "regexp-unicode-property-escapes",
            "object-spread",
            "object-rest",
            "async-iteration",
            "regexp-lookbehind",
            "regexp-named-groups",
        ];
        assert_eq!(named(&keys, &dict_order(&keys)), wanted);
    }

    #[test]
    fn large_sets_grow_as_python_2s() {
        for (size, first, sum) in
            [(1000, [623, 931, 847, 144], 321_412_125), (60_000, [30046, 28610, 24375, 40199], 792_901_486)]
        {
            let names: Vec<String> = (0..size).map(|index| format!("t{index}/x")).collect();
            let order = set_order(&names);
            assert_eq!(order[..4], first);
            assert_eq!(order.iter().fold(0, |sum, at| (sum * 31 + at) % 1_000_000_007), sum, "{size}");
        }
    }
}
