//! A Rust file as tokens: comments are gone, strings are whole, and each token knows its lines and whether it is
//! test code.

use std::collections::BTreeSet;
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

pub struct Source {
    /// Relative to the root.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Word,
    Literal,
    Sign,
    Open,
    Close,
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    /// As written; `::` is one token.
    pub text: String,
    /// How many groups it stands in.
    pub depth: usize,
    pub first_line: usize,
    pub last_line: usize,
    /// Under `#[cfg(test)]` or `#[test]`, or in a file of tests.
    pub in_test: bool,
}

pub struct Function {
    pub name: String,
    pub line: usize,
    /// Lines that hold code, from `fn` to the closing brace.
    pub lines: usize,
}

impl Source {
    pub fn read(path: &str, text: &str) -> Self {
        let stream =
            TokenStream::from_str(text).unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, 0, is_test_file(path), &mut tokens);
        Self { path: path.to_owned(), text: text.to_owned(), tokens }
    }

    /// The tokens that are not test code.
    pub fn production(&self) -> Vec<&Token> {
        self.tokens.iter().filter(|token| !token.in_test).collect()
    }

    /// How many lines hold code, without test modules; comments and blank lines are no code.
    pub fn lines_of_code(&self) -> usize {
        let file_of_tests = is_test_file(&self.path);
        lines(self.tokens.iter().filter(|token| file_of_tests || !token.in_test))
    }

    /// The functions that are not test code.
    pub fn functions(&self) -> Vec<Function> {
        let tokens = self.production();
        let is_function = |at: &usize| tokens[*at].text == "fn" && tokens[at + 1].kind == Kind::Word;
        let starts = (0..tokens.len().saturating_sub(1)).filter(is_function);
        starts.filter_map(|start| function(&tokens[start..])).collect()
    }
}

/// `tokens` start with `fn` and its name. `None` for one without a body.
fn function(tokens: &[&Token]) -> Option<Function> {
    let depth = tokens[0].depth;
    let same_level = |token: &&&Token| token.depth == depth;
    let body = tokens.iter().filter(same_level).find(|token| token.text == "{" || token.text == ";")?;
    if body.text == ";" {
        return None;
    }
    let end = tokens.iter().position(|token| token.depth == depth && token.text == "}")?;
    let lines = lines(tokens[..=end].iter().copied());
    Some(Function { name: tokens[1].text.clone(), line: tokens[0].first_line, lines })
}

fn lines<'a>(tokens: impl Iterator<Item = &'a Token>) -> usize {
    tokens.flat_map(|token| token.first_line..=token.last_line).collect::<BTreeSet<_>>().len()
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn flatten(stream: TokenStream, depth: usize, in_test: bool, tokens: &mut Vec<Token>) {
    let mut in_test = in_test;
    // Set by an attribute for tests until the end of the item it stands before.
    let mut item_is_test = false;
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let mut push = |kind, text: String, span: Span, in_test| {
            let (first_line, last_line) = (span.start().line, span.end().line);
            tokens.push(Token { kind, text, depth, first_line, last_line, in_test });
        };
        match tree {
            TokenTree::Punct(sign) if sign.as_char() == '#' => {
                let inner =
                    trees.next_if(|next| matches!(next, TokenTree::Punct(sign) if sign.as_char() == '!'));
                let is_attribute = |next: &TokenTree| matches!(next, TokenTree::Group(_));
                let Some(TokenTree::Group(attribute)) = trees.next_if(is_attribute) else {
                    push(Kind::Sign, "#".to_owned(), sign.span(), in_test);
                    continue;
                };
                let said = attribute.stream().to_string().replace(' ', "");
                if said.starts_with("doc=") {
                    continue;
                }
                let for_tests = said == "cfg(test)" || said == "test" || said.starts_with("tokio::test");
                in_test |= for_tests && inner.is_some();
                item_is_test |= for_tests && inner.is_none();
                push(Kind::Sign, "#".to_owned(), sign.span(), in_test || item_is_test);
                flatten_group(&attribute, depth, in_test || item_is_test, tokens);
            }
            TokenTree::Punct(sign) => {
                let mut text = sign.as_char().to_string();
                let colon =
                    |next: &TokenTree| matches!(next, TokenTree::Punct(sign) if sign.as_char() == ':');
                if text == ":" && trees.next_if(colon).is_some() {
                    text.push(':');
                }
                push(Kind::Sign, text.clone(), sign.span(), in_test || item_is_test);
                item_is_test &= text != ";";
            }
            TokenTree::Ident(word) => {
                push(Kind::Word, word.to_string(), word.span(), in_test || item_is_test);
            }
            TokenTree::Literal(literal) => {
                push(Kind::Literal, literal.to_string(), literal.span(), in_test || item_is_test);
            }
            TokenTree::Group(group) => {
                flatten_group(&group, depth, in_test || item_is_test, tokens);
                item_is_test &= group.delimiter() != Delimiter::Brace;
            }
        }
    }
}

fn flatten_group(group: &Group, depth: usize, in_test: bool, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::None => ("", ""),
    };
    let bracket = |kind, text: &str, span: Span| {
        let line = span.start().line;
        Token { kind, text: text.to_owned(), depth, first_line: line, last_line: line, in_test }
    };
    tokens.push(bracket(Kind::Open, open, group.span_open()));
    flatten(group.stream(), depth + 1, in_test, tokens);
    tokens.push(bracket(Kind::Close, close, group.span_close()));
}
