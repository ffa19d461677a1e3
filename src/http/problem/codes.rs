//! The one table of the stable codes of problems: status, titles, and what a page says about each.

use actix_web::http::StatusCode;

/// The languages of titles; the first is that of readers who prefer none of them.
pub const LANGUAGES: [&str; 3] = ["en", "es", "zh"];

/// What is fixed about a kind of problem.
pub struct Entry {
    /// The stable code.
    pub code: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// Its title in each of [`LANGUAGES`].
    pub titles: [&'static str; 3],
    /// What it means, in Markdown.
    pub meaning: &'static str,
    /// What a client does about it, in Markdown.
    pub remedy: &'static str,
}

impl Entry {
    /// The title in a language, in English where there is none.
    pub fn title(&self, language: &str) -> &'static str {
        let [english, ..] = self.titles;
        let of = LANGUAGES.iter().zip(self.titles).find(|(known, _)| **known == language);
        of.map_or(english, |(_, title)| title)
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $status:ident, $titles:expr, $meaning:literal, $remedy:literal;)+) => {
        /// The stable codes of problems. What each means stands in its [`Entry`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $name,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// What is fixed about this kind of problem.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$name => Entry {
                        code: $code,
                        status: StatusCode::$status,
                        titles: $titles,
                        meaning: $meaning,
                        remedy: $remedy,
                    },)+
                }
            }
        }
    };
}

codes! {
    BadRequest = "bad_request", BAD_REQUEST,
        ["The request can't be understood", "No se entiende la solicitud", "无法理解该请求"],
        "The request breaks the form of HTTP, of its query or of JSON, so nothing in it was looked at.",
        "Read `detail`: it says what can't be read, for JSON with line and column. Send the request in the right form.";
    Unauthenticated = "unauthenticated", UNAUTHORIZED,
        ["A valid access token is needed", "Se necesita un token de acceso válido", "需要有效的访问令牌"],
        "The request has no access token, or one that has expired, was revoked or isn't of this service.",
        "Get a token by `POST /v1/auth/token` and send it as `Authorization: Bearer …`.";
    WrongCredentials = "wrong_credentials", UNAUTHORIZED,
        ["The user name or the password is wrong", "El usuario o la contraseña no son correctos", "用户名或密码错误"],
        "There is no such user, or the password isn't his; which of the two stays unsaid.",
        "Ask the user for name and password again.";
    Forbidden = "forbidden", FORBIDDEN,
        ["This needs a permission that you don't have", "Se necesita un permiso que usted no tiene", "您没有执行此操作的权限"],
        "The caller is known, and none of his roles has the permission that the operation states in the description of the API.",
        "Hide what the user may not do, by the permissions that he has. An administrator gives and takes roles.";
    NotFound = "not_found", NOT_FOUND,
        ["There is no such resource", "No existe ese recurso", "资源不存在"],
        "Nothing has this path or this id.",
        "Check the path against the description of the API, and the id against where it came from.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED,
        ["The resource has no such method", "El recurso no admite ese método", "该资源不支持此方法"],
        "The path is right, but nothing answers this method there.",
        "Use one of the methods in the header `Allow`.";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT,
        ["The body came too slowly", "El cuerpo llegó demasiado despacio", "请求体发送过慢"],
        "The body wasn't there in whole when the time for reading it was over. Nothing was changed.",
        "Send the request again, in smaller parts if the connection is slow.";
    AlreadyExists = "already_exists", CONFLICT,
        ["The resource exists already", "El recurso ya existe", "资源已存在"],
        "A value that may exist once is taken, such as the code of a customer. Nothing was changed.",
        "Read and change what exists, or choose another value.";
    Conflict = "conflict", CONFLICT,
        ["The state of the resource doesn't allow this", "El estado del recurso no lo permite", "资源的当前状态不允许此操作"],
        "The request is right, but not now: `detail` says which state is in its way. Nothing was changed.",
        "Read the resource again and show its state.";
    IdempotencyRunning = "idempotency_running", CONFLICT,
        ["The first request with this key is still running", "La primera solicitud con esta clave aún está en curso",
            "使用该键的首个请求仍在处理中"],
        "A request with the same `Idempotency-Key` was received before and has no answer yet. This one did nothing.",
        "Wait as long as `Retry-After` says and send the same request with the same key again.";
    Stale = "stale", PRECONDITION_FAILED,
        ["The resource has changed since it was read", "El recurso ha cambiado desde que se leyó", "资源自读取后已被修改"],
        "`If-Match` names no version that is the present one: somebody else has changed the resource. Nothing was changed.",
        "Read it again, apply the user's change to what is there now, and send it with the new `ETag`.";
    TooLarge = "too_large", PAYLOAD_TOO_LARGE,
        ["The body is too large", "El cuerpo es demasiado grande", "请求体过大"],
        "The body, or what it unpacks to, has more bytes than the service takes. `detail` says how many it takes.",
        "Send several smaller requests.";
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE,
        ["No encoding of the answer is accepted", "No se acepta ninguna codificación de la respuesta", "不接受响应的任何编码"],
        "The header `Accept-Encoding` excludes everything that the service can send, also what isn't packed. Nothing was changed.",
        "Accept `gzip`, `deflate` or `identity`, or leave the header out.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        ["The body has a type that isn't taken here", "El tipo del cuerpo no se admite aquí", "不支持该请求体类型"],
        "The header `Content-Type` is missing, or names a type that the operation doesn't take or another encoding of text than UTF-8; or \
            `Content-Encoding` names another packing than `gzip`, or one where files are uploaded.",
        "Send JSON with `Content-Type: application/json`, or the type that the description of the API names.";
    Invalid = "invalid", UNPROCESSABLE_ENTITY,
        ["The request has faults", "La solicitud contiene errores", "请求包含错误"],
        "The request could be read, but parts of it are wrong. `errors` has every fault that was found, with a JSON pointer to \
            the part of the body, or the name of the parameter; at most 100, and `detail` says when there are more. Long keys and \
            values are shortened in them, with `…` at the end. Nothing was changed.",
        "Show each `detail` beside its field. The codes of faults are listed in the [index](/problems#faults).";
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY,
        ["The key was used for another request", "La clave se usó para otra solicitud", "该键已用于其他请求"],
        "A request with the same `Idempotency-Key` but another method, path, query or body was received in the last 48 hours.",
        "Make a new key for each new request, and repeat a key only with the very same request.";
    PreconditionRequired = "precondition_required", PRECONDITION_REQUIRED,
        ["The header If-Match is needed", "Se necesita la cabecera If-Match", "需要 If-Match 请求头"],
        "The operation changes something that others may have changed meanwhile, so it wants to know which version was read.",
        "Read the resource and send its `ETag` as `If-Match`.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS,
        ["Too many requests in a short time", "Demasiadas solicitudes en poco tiempo", "请求过于频繁"],
        "The user, or without a token the address, has sent more requests than he may, or has as many streams of events open as he may. \
            This one was not looked at.",
        "Wait as long as `Retry-After` says. Send many items in one request where the API has batches.";
    TooManyAttempts = "too_many_attempts", TOO_MANY_REQUESTS,
        ["There were too many failures to sign in; try again later",
            "Ha habido demasiados intentos fallidos de inicio de sesión; inténtelo más tarde", "登录失败次数过多，请稍后重试"],
        "Signing in has failed too often for this name or from this address. The password wasn't looked at.",
        "Wait as long as `Retry-After` says. The user may have forgotten his password.";
    Internal = "internal", INTERNAL_SERVER_ERROR,
        ["Something went wrong inside the service", "Algo ha fallado en el servicio", "服务内部出错"],
        "A fault of the service, not of the request.",
        "Tell whoever runs the service the `request_id`: it stands in its log beside the cause.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE,
        ["The service can't answer now; try again soon", "El servicio no puede responder ahora; inténtelo en breve",
            "服务暂时不可用，请稍后重试"],
        "The service is starting or stopping, or doesn't reach its database.",
        "Wait as long as `Retry-After` says and send the request again, with an `Idempotency-Key` if it creates something.";
    Busy = "busy", SERVICE_UNAVAILABLE,
        ["The service has too much to do; try again soon", "El servicio está saturado; inténtelo en breve",
            "服务繁忙，请稍后重试"],
        "As many requests as the service takes at once are being answered: of all users, of all callers without a valid token, or of \
            those of one address. This one was not looked at.",
        "Wait as long as `Retry-After` says and send the request again.";
    TimedOut = "timed_out", SERVICE_UNAVAILABLE,
        ["The answer took too long", "La respuesta ha tardado demasiado", "处理超时"],
        "The request wasn't answered in time. What it was to change may still be changed.",
        "Send it again: with the `Idempotency-Key` that it had, or after reading what is there.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_titles_are_in_every_language() {
        let codes: std::collections::BTreeSet<&str> = Code::ALL.iter().map(|code| code.entry().code).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for entry in Code::ALL.iter().map(|code| code.entry()) {
            let [english, spanish, chinese] = entry.titles;
            assert!(english.is_ascii() && spanish != english, "{}", entry.code);
            assert!(chinese.chars().any(|letter| letter > '\u{4e00}'), "{}", entry.code);
        }
    }
}
