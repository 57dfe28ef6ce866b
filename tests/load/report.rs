//! What a run found out, as sentences or as one line of JSON.

use serde_json::{Map, Value, json};

/// Figures in the order in which they were found, each with its unit in its name.
pub(crate) struct Report {
    is_json: bool,
    figures: Vec<(String, Value)>,
    warnings: Vec<String>,
    /// Deliveries that should have been, and what was wrong with those that were.
    expected: u64,
    received: u64,
    lost: u64,
    repeated: u64,
    out_of_order: u64,
}

/// What every client together was sent.
#[derive(Default, Clone, Copy)]
pub(crate) struct Deliveries {
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
}

impl std::ops::AddAssign for Deliveries {
    fn add_assign(&mut self, other: Deliveries) {
        self.expected += other.expected;
        self.received += other.received;
        self.repeated += other.repeated;
        self.out_of_order += other.out_of_order;
    }
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Report {
        Report {
            is_json,
            figures: Vec::new(),
            warnings: Vec::new(),
            expected: 0,
            received: 0,
            lost: 0,
            repeated: 0,
            out_of_order: 0,
        }
    }

    pub(crate) fn add(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.push((name.to_owned(), value.into()));
    }

    /// A figure rounded to what can be meant by it.
    pub(crate) fn add_rounded(&mut self, name: &str, value: f64, digits: i32) {
        let factor = 10f64.powi(digits);
        self.add(name, (value * factor).round() / factor);
    }

    pub(crate) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    pub(crate) fn deliveries(&mut self, deliveries: Deliveries) {
        self.expected = deliveries.expected;
        self.received = deliveries.received;
        self.lost = (deliveries.expected + deliveries.repeated).saturating_sub(deliveries.received);
        self.repeated = deliveries.repeated;
        self.out_of_order = deliveries.out_of_order;
    }

    /// Every client got every message once and in order.
    pub(crate) fn is_correct(&self) -> bool {
        self.lost == 0 && self.repeated == 0 && self.out_of_order == 0
    }

    pub(crate) fn print(&self) {
        let Report { expected, received, lost, repeated, out_of_order, .. } = self;
        if self.is_json {
            let mut all: Map<String, Value> = self.figures.iter().cloned().collect();
            all.insert("expected".into(), json!(expected));
            all.insert("received".into(), json!(received));
            all.insert("lost".into(), json!(lost));
            all.insert("repeated".into(), json!(repeated));
            all.insert("out_of_order".into(), json!(out_of_order));
            all.insert("warnings".into(), json!(self.warnings));
            println!("{}", Value::Object(all));
            return;
        }
        for (name, value) in &self.figures {
            println!("{:>40}  {value}", name.replace('_', " "));
        }
        println!(
            "{:>40}  expected {expected}, received {received}, lost {lost}, repeated {repeated}, out of order {out_of_order}",
            "deliveries"
        );
        for warning in &self.warnings {
            println!("  warning: {warning}");
        }
    }
}
