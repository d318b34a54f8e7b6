//! The contract that every translated stream must keep. Pure.

use super::Event;

/// Checks that a stream keeps the contract. Tool calls have dense indexes. A call begins before its
/// arguments, and gets none after its end. There is exactly one finish reason, and no content after
/// it.
#[derive(Debug, Default)]
pub struct Contract {
    calls: Vec<bool>,
    finished: bool,
}

impl Contract {
    /// Checks the next event.
    ///
    /// # Errors
    /// The breach of the contract. The caller must end the stream.
    pub fn check(&mut self, event: &Event) -> Result<(), &'static str> {
        match event {
            Event::Text(_)
            | Event::Reasoning(_)
            | Event::ReasoningDetail(_)
            | Event::Refusal(_)
            | Event::Annotations(_)
            | Event::Blocks(_)
            | Event::ToolCall { .. }
            | Event::Arguments { .. }
            | Event::ToolCallEnd { .. }
                if self.finished =>
            {
                Err("it goes on after its end")
            }
            Event::ToolCall { index, .. } => {
                if *index != self.calls.len() {
                    return Err("its calls are out of order");
                }
                self.calls.push(true);
                Ok(())
            }
            Event::Arguments { index, .. } => match self.calls.get(*index) {
                Some(true) => Ok(()),
                Some(false) => Err("it goes on with a call after its end"),
                None => Err("it goes on with a call that it did not begin"),
            },
            Event::ToolCallEnd { index } => match self.calls.get_mut(*index) {
                Some(open) => {
                    *open = false;
                    Ok(())
                }
                None => Err("it ends a call that it did not begin"),
            },
            Event::Finish { .. } => {
                if std::mem::replace(&mut self.finished, true) {
                    return Err("it ends twice");
                }
                Ok(())
            }
            Event::End if !self.finished => Err("it ends without saying why"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::hub::FinishReason;

    fn call(index: usize) -> Event {
        Event::ToolCall {
            index,
            id: "a".to_owned(),
            name: "f".to_owned(),
            extra: None,
        }
    }

    fn arguments(index: usize) -> Event {
        Event::Arguments {
            index,
            fragment: "{}".to_owned(),
        }
    }

    fn finish() -> Event {
        Event::Finish {
            reason: FinishReason::Stop,
            native: None,
        }
    }

    fn text() -> Event {
        Event::Text("x".to_owned())
    }

    #[test]
    fn what_breaks_the_contract_is_seen() {
        let ended = || Event::ToolCallEnd { index: 0 };
        let good = vec![
            text(),
            call(0),
            arguments(0),
            call(1),
            arguments(0),
            ended(),
            finish(),
            Event::End,
        ];
        let mut contract = Contract::default();
        for event in &good {
            contract.check(event).unwrap();
        }
        for bad in [
            vec![call(1)],
            vec![arguments(0)],
            vec![call(0), ended(), arguments(0)],
            vec![ended()],
            vec![finish(), finish()],
            vec![finish(), text()],
            vec![text(), Event::End],
        ] {
            let mut contract = Contract::default();
            let wrong = bad.iter().filter(|event| contract.check(event).is_err());
            assert_eq!(wrong.count(), 1, "{bad:?}");
        }
    }
}
