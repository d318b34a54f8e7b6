//! Logs, metrics, traces and health.

mod telemetry;
