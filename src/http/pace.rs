//! Connections that dawdle: one on which no request is being answered is closed when it stays silent for too long, or when the head of its
//! next request takes too long. The HTTP library sees to the first head only, and lets whoever still sends an unread body go on for ever.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// Longest time for which a connection waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the first byte of a request.
    pub silence: Duration,
    /// From there for the rest of its head.
    pub head: Duration,
}

/// What a connection is doing, known to itself and to its requests.
#[derive(Clone, Default)]
pub struct Pace(Rc<Cell<State>>);

#[derive(Clone, Copy, Default)]
enum State {
    /// It has been silent since a request was answered, or it began.
    #[default]
    Silent,
    /// The head of a request is coming, or the rest of a body that nobody reads.
    Coming,
    /// A request is being answered.
    Answering,
}

impl Pace {
    fn begin(&self) -> Answering {
        self.0.set(State::Answering);
        Answering(self.clone())
    }
}

/// A request that is being answered, until this is dropped.
struct Answering(Pace);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.set(State::Silent);
    }
}

/// A connection that ends by itself.
pub struct Paced {
    stream: TcpStream,
    pace: Pace,
    patience: Patience,
    /// What it was doing when its time began to run.
    timed: State,
    end: Pin<Box<Sleep>>,
}

impl Paced {
    /// A connection that has just begun.
    pub fn new(stream: TcpStream, patience: Patience) -> Self {
        let end = Box::pin(sleep_until(Instant::now() + patience.silence));
        Self { stream, pace: Pace::default(), patience, timed: State::Silent, end }
    }

    /// What its requests are to know of it.
    pub fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// Lets the time of what it is doing now run, unless it runs already.
    fn time(&mut self, state: State) {
        let patience = match (self.timed, state) {
            (State::Silent, State::Silent) | (State::Coming, State::Coming) | (_, State::Answering) => None,
            (_, State::Silent) => Some(self.patience.silence),
            (_, State::Coming) => Some(self.patience.head),
        };
        self.timed = state;
        if let Some(patience) = patience {
            self.end.as_mut().reset(Instant::now() + patience);
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(self.pace.0.get(), State::Silent) && buffer.filled().len() > before {
            self.pace.0.set(State::Coming);
        }
        let state = self.pace.0.get();
        self.time(state);
        let is_answering = matches!(state, State::Answering);
        match read {
            Poll::Ready(read) if is_answering || Instant::now() < self.end.deadline() => Poll::Ready(read),
            Poll::Ready(_) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => {
                ready!(self.end.as_mut().poll(context));
                if !is_answering {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                // Nobody reads again when the answer has ended, unless he is woken.
                let again = Instant::now() + self.patience.silence;
                self.end.as_mut().reset(again);
                self.end.as_mut().poll(context).map(Ok)
            }
        }
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The middleware that tells a connection when a request is being answered: from the end of its head to the end of its answer.
pub async fn answering(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let answering = request.conn_data::<Pace>().map(Pace::begin);
    let answered = next.call(request).await?;
    Ok(answered.map_body(|_, body| BoxBody::new(Held { body: body.boxed(), _answering: answering })))
}

/// A body that is being sent.
struct Held {
    body: BoxBody,
    _answering: Option<Answering>,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
