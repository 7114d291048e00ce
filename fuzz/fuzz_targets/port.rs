//! What the parser takes, it shows in a form that it takes again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use topo::topology::Listen;

fuzz_target!(|text: &str| {
    if let Ok(listen) = text.parse::<Listen>() {
        assert_eq!(listen.to_string().parse(), Ok(listen));
    }
});
