//! Logging to standard error: lines for people on a terminal, JSON otherwise. With the feature `otel` spans also go to an
//! OpenTelemetry collector.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
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

/// Begins logging as the configuration says.
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
    let (logs, traces) = traces()?;
    tracing_subscriber::registry()
        .with(vec![lines].into_iter().chain(traces).collect::<Vec<_>>())
        .with(filter)
        .with(filter_fn(is_ours))
        .try_init()?;
    Ok(logs)
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

/// Spans go where OpenTelemetry's own variables say, and nowhere without them.
#[cfg(feature = "otel")]
fn traces() -> Result<(Logs, Traces), Failure> {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};

    let named = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    if !named.iter().any(|name| std::env::var_os(name).is_some()) {
        return Ok((Logs::default(), None));
    }
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
    let resource = Resource::builder().with_service_name(env!("CARGO_PKG_NAME")).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(env!("CARGO_PKG_NAME")));
    Ok((Logs { traces: Some(provider) }, Some(layer.boxed())))
}

#[cfg(feature = "otel")]
impl Drop for Logs {
    fn drop(&mut self) {
        // Nobody is left to be told when the collector is away.
        let _ = self.traces.take().map(|traces| traces.shutdown());
    }
}
