//! What a run found out, as sentences or as one line of JSON.

use serde_json::{Map, Value, json};

/// Figures in the order in which they were found, each with its unit in its name.
pub(crate) struct Report {
    is_json: bool,
    figures: Vec<(String, Value)>,
    warnings: Vec<String>,
    deliveries: Deliveries,
    outcome: Outcome,
}

/// Whether something went wrong that the deliveries do not tell.
#[derive(PartialEq)]
enum Outcome {
    Sound,
    Failed,
}

/// What every client together was sent.
#[derive(Default, Clone, Copy)]
pub(crate) struct Deliveries {
    pub(crate) expected: u64,
    pub(crate) received: u64,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
    /// Texts that were not as they had been said. Received all the same, if it could be read which they were.
    pub(crate) corrupt: u64,
}

impl Deliveries {
    /// What should have come and has not.
    pub(crate) fn lost(&self) -> u64 {
        (self.expected + self.repeated).saturating_sub(self.received)
    }
}

impl std::ops::AddAssign for Deliveries {
    fn add_assign(&mut self, other: Deliveries) {
        self.expected += other.expected;
        self.received += other.received;
        self.repeated += other.repeated;
        self.out_of_order += other.out_of_order;
        self.corrupt += other.corrupt;
    }
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Report {
        Report {
            is_json,
            figures: Vec::new(),
            warnings: Vec::new(),
            deliveries: Deliveries::default(),
            outcome: Outcome::Sound,
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

    /// A warning about what makes the run worth nothing, whatever came.
    pub(crate) fn fail(&mut self, warning: String) {
        self.warn(warning);
        self.outcome = Outcome::Failed;
    }

    pub(crate) fn deliveries(&mut self, deliveries: Deliveries) {
        self.deliveries = deliveries;
    }

    /// Every client got every message once, in order and as it was said; and there were some.
    pub(crate) fn is_correct(&self) -> bool {
        let Deliveries { expected, repeated, out_of_order, corrupt, .. } = self.deliveries;
        let is_exact = self.deliveries.lost() == 0 && repeated == 0 && out_of_order == 0 && corrupt == 0;
        is_exact && expected > 0 && self.outcome == Outcome::Sound
    }

    pub(crate) fn print(&self) {
        let Deliveries { expected, received, repeated, out_of_order, corrupt } = self.deliveries;
        let lost = self.deliveries.lost();
        if self.is_json {
            let mut all: Map<String, Value> = self.figures.iter().cloned().collect();
            all.insert("expected".into(), json!(expected));
            all.insert("received".into(), json!(received));
            all.insert("lost".into(), json!(lost));
            all.insert("repeated".into(), json!(repeated));
            all.insert("out_of_order".into(), json!(out_of_order));
            all.insert("corrupt".into(), json!(corrupt));
            all.insert("warnings".into(), json!(self.warnings));
            println!("{}", Value::Object(all));
            return;
        }
        for (name, value) in &self.figures {
            println!("{:>40}  {value}", name.replace("p99_9", "p99.9").replace('_', " "));
        }
        println!(
            "{:>40}  expected {expected}, received {received}, lost {lost}, repeated {repeated}, \
             out of order {out_of_order}, corrupt {corrupt}",
            "deliveries"
        );
        for warning in &self.warnings {
            println!("  warning: {warning}");
        }
    }
}
