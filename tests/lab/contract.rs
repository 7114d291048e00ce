//! What topo prints for programs, held against the schemas that it is promised by.

use serde_json::Value;

use crate::lab::Lab;

impl Lab {
    /// Runs topo with `-o json`: every line that it prints must be as docs/reference says.
    #[track_caller]
    pub fn json(
        &self,
        code: impl Into<Option<i32>>,
        schema: &str,
        arguments: &[&str],
    ) -> Vec<Value> {
        let arguments = [arguments, &["-o", "json"]].concat();
        let ran = match code.into() {
            Some(code) => self.expect(code, &arguments),
            None => self.topo(&arguments),
        };
        let path = format!("{}/docs/reference/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the schema is there");
        let schema = serde_json::from_str(&text).expect("the schema is JSON");
        let validator = jsonschema::validator_for(&schema).expect("the schema is one");
        let lines: Vec<Value> = ran
            .out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        for line in &lines {
            let faults: Vec<String> =
                validator.iter_errors(line).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{faults:#?} in {line:#}");
        }
        lines
    }
}
