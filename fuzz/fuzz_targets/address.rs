//! What the parser takes, it shows in a form that it takes again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use topo::topology::AddressRange;

fuzz_target!(|text: &str| {
    if let Ok(range) = text.parse::<AddressRange>() {
        assert_eq!(range.to_string().parse(), Ok(range));
        assert!(range.contains(range.first()) && range.contains(range.last()));
    }
});
