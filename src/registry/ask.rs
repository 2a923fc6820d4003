//! Questions to one endpoint, with what lets us in.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::{Credentials, Endpoint};
use crate::http::url::push_encoded;
use crate::http::{Client, Request, Response, Url};

/// Longest answer with a token.
const LONGEST_TOKEN: u64 = 1 << 20;
/// Longest answer that is read to say what is wrong.
const LONGEST_ERROR: u64 = 16 << 10;

/// One endpoint, asked.
pub struct Session<'c> {
    /// Who.
    pub endpoint: Endpoint,
    client: Client<'c>,
    /// What lets us in, once it was asked for.
    authorization: Mutex<Option<String>>,
}

/// An answer that is no use.
#[derive(Debug)]
pub struct Refused {
    /// Three digits.
    pub status: u16,
    message: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl<'c> Session<'c> {
    /// Nothing was asked yet.
    pub fn new(endpoint: Endpoint, client: Client<'c>) -> Session<'c> {
        Session { endpoint, client, authorization: Mutex::default() }
    }

    /// Gets `url` with `headers`; shows what lets us in if that is asked for. Another status than 2xx and 416 is a [`Refused`].
    pub fn get(&self, url: &Url, headers: &[(&str, String)]) -> Result<Response<'c>> {
        let shown = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ask = |authorization| {
            let headers = headers.to_vec();
            self.client.ask(&Request { method: "GET", url, headers, authorization, form: None })
        };
        let mut response = ask(shown.clone())?;
        // Whoever we were led to gets nothing.
        if response.status == 401 && response.url.same_origin(url) {
            let wanted = challenge::wanted(response.head.all("www-authenticate"));
            response.document(LONGEST_ERROR).ok();
            let authorization = self.authorize(wanted)?;
            if authorization.is_some() && authorization != shown {
                self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&authorization);
                response = ask(authorization)?;
            }
        }
        match response.status {
            200..300 | 416 => Ok(response),
            _ => Err(self.refused(response).into()),
        }
    }

    /// What lets us in where `wanted` is asked for, if we have it.
    fn authorize(&self, wanted: Option<Challenge>) -> Result<Option<String>> {
        let credentials = self.endpoint.credentials.as_ref();
        match (wanted, credentials) {
            (Some(Challenge::Basic), Some(Credentials::Password { user, password })) => {
                Ok(Some(basic(user, password)))
            }
            (Some(Challenge::Bearer { realm, service, scope }), credentials) => {
                let token = self.token(&realm, &service, &scope, credentials);
                token.map(|token| Some(format!("Bearer {token}"))).context("failed to authorize")
            }
            _ => Ok(None),
        }
    }

    fn token(
        &self,
        realm: &str,
        service: &str,
        scope: &str,
        credentials: Option<&Credentials>,
    ) -> Result<String> {
        let url = Url::parse(realm).context("the realm of tokens")?;
        ensure!(
            url.is_https || !self.endpoint.base.is_https,
            "it names {url} for tokens, which is not asked since it is not https"
        );
        let default = format!("repository:{}:pull", self.endpoint.repository);
        let scope = if scope.is_empty() { &default } else { scope };
        let with_service = if service.is_empty() { url.clone() } else { url.with("service", service) };
        let asked = with_service.with("scope", scope);
        let mut request =
            Request { method: "GET", url: &asked, headers: Vec::new(), authorization: None, form: None };
        match credentials {
            Some(Credentials::Token(token)) => {
                request = Request { method: "POST", url: &url, ..request };
                request.form = Some(form(&[
                    ("grant_type", "refresh_token"),
                    ("service", service),
                    ("client_id", "holdfast"),
                    ("scope", scope),
                    ("refresh_token", token),
                ]));
            }
            Some(Credentials::Password { user, password }) => {
                request.authorization = Some(basic(user, password));
            }
            None => {}
        }
        let mut response = self.client.ask(&request)?;
        if response.status != 200 {
            return Err(self.refused(response).into());
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Given {
            token: String,
            access_token: String,
        }
        // What serde would tell of a wrong one has a piece of it.
        let given = response.document(LONGEST_TOKEN)?;
        let given: Given = serde_json::from_slice(&given).ok().context("the answer has no token")?;
        let token = if given.token.is_empty() { given.access_token } else { given.token };
        ensure!(!token.is_empty(), "the answer has no token");
        Ok(token)
    }

    /// What an answer that is no use says, by its status and the specification's own word: the rest may be anything, also what
    /// we showed.
    fn refused(&self, mut response: Response<'_>) -> Refused {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<Error>,
        }
        #[derive(Deserialize)]
        struct Error {
            code: String,
        }
        let status = response.status;
        let body = response.document(LONGEST_ERROR).unwrap_or_default();
        let codes = serde_json::from_slice::<Errors>(&body).map(|found| found.errors).unwrap_or_default();
        let code = codes.into_iter().map(|error| error.code).next();
        let word =
            |code: &String| code.len() <= 40 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let code = code.filter(word).map(|code| format!(" {code}")).unwrap_or_default();
        let url = &response.url;
        let message = match status {
            401 | 403 if self.endpoint.credentials.is_some() => format!(
                "GET \"{url}\": status {status}{code}: the credentials for it are not accepted: see to its entry in \
                 registries.yaml or docker's config.json"
            ),
            401 | 403 => format!(
                "GET \"{url}\": status {status}{code}: pull access denied, repository does not exist or may require \
                 authorization: write what lets in to registries.yaml or docker's config.json"
            ),
            404 => format!("GET \"{url}\": not found"),
            429 => format!("GET \"{url}\": status 429{code}: too many requests"),
            _ => format!("GET \"{url}\": unexpected status {status}{code}"),
        };
        Refused { status, message }
    }

    /// All of what `url` has, at most `most` bytes, and what type it is said to have.
    pub fn document(&self, url: &Url, accept: &str, most: u64) -> Result<(Vec<u8>, String)> {
        let mut response = self.get(url, &[("Accept", accept.to_owned())])?;
        let kind = response.head.get("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = response.document(most).with_context(|| format!("GET \"{url}\""))?;
        Ok((bytes, kind))
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn form(fields: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in fields {
        let mark = if form.is_empty() { "" } else { "&" };
        form.extend([mark, name, "="]);
        push_encoded(&mut form, value);
    }
    form
}
