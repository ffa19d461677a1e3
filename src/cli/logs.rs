//! Logging to standard error: lines for people on a terminal, JSON otherwise. With the feature `otel` spans also go to an
//! OpenTelemetry collector.

use std::io::{self, IsTerminal};
use std::panic;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use super::Failure;
use crate::config::{Config, LogFormat};

/// What ends with the command: spans that are still to be sent.
#[derive(Default)]
pub struct Logs {
    #[cfg(feature = "otel")]
    traces: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

/// Begins logging as the configuration says. Lines bear the id of their request and traces are sent whatever the level of lines is.
pub fn begin(config: &Config) -> Result<Logs, Failure> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| format!("BAREMO_LOG (log): {error}"))?;
    let json = match config.log_format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(io::stderr().is_terminal()).boxed()
    };
    let spans = filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO);
    let lines = lines.with_filter(filter.or(spans.with_max_level_hint(LevelFilter::INFO))).boxed();
    let (logs, traces) = traces()?;
    tracing_subscriber::registry()
        .with(vec![lines].into_iter().chain(traces).collect::<Vec<_>>())
        .with(filter_fn(is_ours))
        .try_init()?;
    panic::set_hook(Box::new(log_panic));
    Ok(logs)
}

/// Tells where a panic was, and not its message: that may hold values, as of a text that was cut within a letter.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, "a panic");
}

/// The finer levels of libraries show headers and statements, and with them secrets and personal data: they are never logged. The
/// HTTP server calls it an error when anybody sends what is no HTTP: that isn't told at all.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_coarse = *metadata.level() <= Level::INFO && !target.starts_with("actix_http");
    is_coarse || target.starts_with(env!("CARGO_PKG_NAME"))
}

type Traces = Option<Box<dyn Layer<Registry> + Send + Sync>>;

#[cfg(not(feature = "otel"))]
fn traces() -> Result<(Logs, Traces), Failure> {
    Ok((Logs::default(), None))
}

/// Spans of this crate go where OpenTelemetry's own variables say, and nowhere without them.
#[cfg(feature = "otel")]
fn traces() -> Result<(Logs, Traces), Failure> {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
    use tracing_subscriber::filter::Targets;

    let named = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    if !named.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok((Logs::default(), None));
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
    let resource = Resource::builder().with_service_name(env!("CARGO_PKG_NAME")).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(env!("CARGO_PKG_NAME")));
    let layer = layer.with_filter(Targets::new().with_target(env!("CARGO_PKG_NAME"), Level::INFO));
    Ok((Logs { traces: Some(provider) }, Some(layer.boxed())))
}

#[cfg(feature = "otel")]
impl Drop for Logs {
    fn drop(&mut self) {
        // Nobody is left to be told when the collector is away.
        let _ = self.traces.take().map(|traces| traces.shutdown());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_panic_is_logged_with_its_place_and_without_its_message() {
        let mut file = tempfile::tempfile().unwrap();
        let lines = fmt().with_ansi(false).with_writer(Mutex::new(file.try_clone().unwrap())).finish();
        let usual = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        let ended = tracing::subscriber::with_default(lines, || panic::catch_unwind(|| panic!("about Ana Ruiz")));
        panic::set_hook(usual);
        let mut log = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut log)).unwrap();
        assert!(ended.is_err() && log.contains("a panic") && log.contains(file!()), "{log}");
        assert!(!log.contains("Ana"), "{log}");
    }
}
