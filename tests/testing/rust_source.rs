//! The sources, read by a parser of Rust: what each names, how long it is, and where each item stands.
//!
//! Items under `#[cfg(test)]` do not count: a test may look wherever it has to, and be as long as it must.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a source that cannot be read is a failed test")]

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Fields, ImplItem, Item, Meta, Signature, TraitItem, UseTree};

/// A file of `src/`.
pub struct RustSource {
    /// Behind `src/`, with `/` between its parts.
    pub path: String,
    pub text: String,
    /// Without test modules.
    items: Vec<Item>,
    /// Lines of its tests.
    test_lines: usize,
}

/// A path as it is written, each leaf of a `use` tree by itself: `std::io::Read`.
#[derive(Debug)]
pub struct NamedPath {
    pub line: usize,
    pub segments: Vec<String>,
}

/// A variant of an enum, with the names of its fields.
#[derive(Debug)]
pub struct Variant {
    pub name: String,
    pub fields: Vec<String>,
    /// Those that serde may leave out.
    pub optional: Vec<String>,
}

/// A function with a body.
#[derive(Debug)]
pub struct Function {
    /// With the type or the trait that it belongs to: `Event::write_json`.
    pub name: String,
    pub line: usize,
    /// From `fn` to the closing brace.
    pub lines: usize,
}

/// All files under `src/`, by their paths.
pub fn sources() -> Vec<RustSource> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // A file or folder of that name is a module under `#[cfg(test)]`.
            if path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let parts = path.strip_prefix(&src).unwrap().iter().map(|part| part.to_string_lossy());
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                sources.push(RustSource::new(&parts.collect::<Vec<_>>().join("/"), &text));
            }
        }
    }
    assert!(sources.len() > 10, "the sources were found");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

impl RustSource {
    pub fn new(path: &str, text: &str) -> RustSource {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (tests, items): (Vec<Item>, Vec<Item>) = file.items.into_iter().partition(is_test);
        let test_lines = tests.iter().map(|item| lines_of(item.span()).count()).sum();
        RustSource { path: path.into(), text: text.into(), items, test_lines }
    }

    /// The beginning of a fault's line.
    pub fn at(&self, line: usize) -> String {
        format!("src/{}:{line}:", self.path)
    }

    /// `place` is a file, or a folder if it ends in a slash.
    pub fn is_in(&self, place: &str) -> bool {
        if place.ends_with('/') { self.path.starts_with(place) } else { self.path == place }
    }

    /// Lines without those of its tests.
    pub fn code_lines(&self) -> usize {
        self.text.lines().count() - self.test_lines
    }

    /// The module that it is: `src/http/head.rs` is `http::head`, `src/http/mod.rs` is `http`.
    pub fn module(&self) -> Vec<&str> {
        let mut parts: Vec<&str> = self.path.trim_end_matches(".rs").split('/').collect();
        parts.retain(|part| !matches!(*part, "mod" | "lib" | "main"));
        parts
    }

    /// All paths of two or more segments, and whatever is imported: `use mio;`.
    pub fn paths(&self) -> Vec<NamedPath> {
        let mut reader = PathReader { found: Vec::new() };
        self.items.iter().for_each(|item| reader.visit_item(item));
        reader.found
    }

    /// All calls of a method: its name alone, for whose method it is only the compiler knows.
    pub fn method_calls(&self) -> Vec<NamedPath> {
        let mut reader = MethodReader { found: Vec::new() };
        self.items.iter().for_each(|item| reader.visit_item(item));
        reader.found
    }

    /// The crate's own module that a path leads to, from the crate's root on: `http::head`.
    pub fn own_module(&self, path: &NamedPath) -> Option<String> {
        let mut here = self.module();
        let mut rest = path.segments.iter().map(String::as_str).peekable();
        match rest.next()? {
            "crate" | "roomd" => here.clear(),
            "self" => {}
            "super" => {
                here.pop();
                while rest.next_if_eq(&"super").is_some() {
                    here.pop();
                }
            }
            _ => return None,
        }
        here.extend(rest);
        (!here.is_empty()).then(|| here.join("::"))
    }

    pub fn functions(&self) -> Vec<Function> {
        let mut reader = FunctionReader { container: None, found: Vec::new() };
        self.items.iter().for_each(|item| reader.visit_item(item));
        reader.found
    }

    /// The first and the last line, counted from 1, of each item of that name, without what is said about it:
    /// `item`, `Container::member`, or the head of an `impl`.
    pub fn items_named(&self, name: &str) -> Vec<RangeInclusive<usize>> {
        if name.starts_with("impl") {
            return self
                .items
                .iter()
                .filter(|item| is_impl_with_head(item, name))
                .map(lines_without_attributes)
                .collect();
        }
        match name.rsplit_once("::") {
            None => self.items.iter().filter(|item| ident_of(item) == name).map(lines_without_attributes).collect(),
            Some((container, member)) => {
                let within = self.items.iter().filter(|item| ident_of(item) == container || impl_of(item) == container);
                within.flat_map(|item| members_named(item, member)).collect()
            }
        }
    }
}

impl RustSource {
    /// The variants of an enum. One that holds a struct of this file has the struct's fields.
    pub fn variants(&self, name: &str) -> Vec<Variant> {
        let enums = self.items.iter().filter_map(|item| match item {
            Item::Enum(item) if item.ident == name => Some(item),
            _ => None,
        });
        let variants = enums.flat_map(|item| &item.variants).map(|variant| {
            let held = match &variant.fields {
                Fields::Unnamed(held) => held.unnamed.first().and_then(|field| self.structure(&type_name(&field.ty))),
                _ => None,
            };
            let (optional, fields): (Vec<_>, Vec<_>) = held.unwrap_or(&variant.fields).iter().partition(may_be_skipped);
            Variant { name: variant.ident.to_string(), fields: names(&fields), optional: names(&optional) }
        });
        variants.collect()
    }

    fn structure(&self, name: &str) -> Option<&Fields> {
        self.items.iter().find_map(|item| match item {
            Item::Struct(item) if item.ident == name => Some(&item.fields),
            _ => None,
        })
    }

    /// The strings in an item, or in a member of one, in their order: literals, and what an attribute like `#[error("…")]`
    /// has. Prose is not among them.
    pub fn strings_in(&self, name: &str) -> Vec<String> {
        let ranges = self.items_named(name);
        assert_eq!(ranges.len(), 1, "src/{} has just one {name}", self.path);
        let mut reader = StringReader { within: ranges[0].clone(), found: Vec::new() };
        self.items.iter().for_each(|item| reader.visit_item(item));
        reader.found
    }
}

fn may_be_skipped(field: &&syn::Field) -> bool {
    field.attrs.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.tokens.to_string().contains("skip_serializing_if"),
        _ => false,
    })
}

fn names(fields: &[&syn::Field]) -> Vec<String> {
    fields.iter().filter_map(|field| field.ident.as_ref()).map(ToString::to_string).collect()
}

fn is_test(item: &Item) -> bool {
    attributes_of(item).iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

fn attributes_of(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn ident_of(item: &Item) -> String {
    match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => item.ident.as_ref().map(ToString::to_string).unwrap_or_default(),
        Item::Mod(item) => item.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        _ => String::new(),
    }
}

/// The type that an `impl` is for.
fn impl_of(item: &Item) -> String {
    let Item::Impl(item) = item else { return String::new() };
    type_name(&item.self_ty)
}

/// Without its path and its generics.
fn type_name(of: &syn::Type) -> String {
    let syn::Type::Path(path) = of else { return String::new() };
    path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default()
}

fn is_impl_with_head(item: &Item, head: &str) -> bool {
    let wanted: TokenStream = head.parse().unwrap_or_default();
    let Item::Impl(item) = item else { return false };
    let mut bare = item.clone();
    bare.attrs.clear();
    bare.items.clear();
    let tokens = bare.to_token_stream();
    let is_body = |tree: &TokenTree| matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    let found: TokenStream = tokens.into_iter().take_while(|tree| !is_body(tree)).collect();
    found.to_string() == wanted.to_string()
}

fn members_named(item: &Item, name: &str) -> Vec<RangeInclusive<usize>> {
    let mut found = Vec::new();
    match item {
        Item::Impl(item) => {
            for member in &item.items {
                let (ident, attributes) = match member {
                    ImplItem::Fn(function) => (&function.sig.ident, &function.attrs),
                    ImplItem::Const(constant) => (&constant.ident, &constant.attrs),
                    ImplItem::Type(alias) => (&alias.ident, &alias.attrs),
                    _ => continue,
                };
                if ident == name {
                    found.push(behind(attributes, lines_of(member.span())));
                }
            }
        }
        Item::Trait(item) => {
            for member in &item.items {
                let TraitItem::Fn(function) = member else { continue };
                if function.sig.ident == name {
                    found.push(behind(&function.attrs, lines_of(member.span())));
                }
            }
        }
        Item::Mod(item) => {
            let items = item.content.iter().flat_map(|(_, items)| items);
            found.extend(items.filter(|inner| ident_of(inner) == name).map(lines_without_attributes));
        }
        _ => {}
    }
    found
}

fn lines_without_attributes(item: &Item) -> RangeInclusive<usize> {
    behind(attributes_of(item), lines_of(item.span()))
}

/// Attributes stand on lines of their own.
fn behind(attributes: &[Attribute], lines: RangeInclusive<usize>) -> RangeInclusive<usize> {
    let start = attributes.iter().map(|attribute| attribute.span().end().line + 1).max();
    start.unwrap_or(*lines.start())..=*lines.end()
}

fn lines_of(span: proc_macro2::Span) -> RangeInclusive<usize> {
    span.start().line..=span.end().line
}

struct MethodReader {
    found: Vec<NamedPath>,
}

impl<'ast> Visit<'ast> for MethodReader {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let line = call.method.span().start().line;
        self.found.push(NamedPath { line, segments: vec![call.method.to_string()] });
        syn::visit::visit_expr_method_call(self, call);
    }
}

struct PathReader {
    found: Vec<NamedPath>,
}

impl PathReader {
    fn found(&mut self, line: usize, segments: Vec<String>) {
        self.found.push(NamedPath { line, segments });
    }

    fn read_use(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |last: String| [prefix, &[last]].concat();
        match tree {
            UseTree::Path(path) => self.read_use(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.read_use(tree, prefix)),
            UseTree::Glob(glob) => self.found(glob.span().start().line, with("*".into())),
            UseTree::Name(name) => self.read_leaf(&name.ident, prefix),
            UseTree::Rename(rename) => self.read_leaf(&rename.ident, prefix),
        }
    }

    /// `self` in a tree means the prefix.
    fn read_leaf(&mut self, ident: &proc_macro2::Ident, prefix: &[String]) {
        let line = ident.span().start().line;
        if ident == "self" && !prefix.is_empty() {
            return self.found(line, prefix.to_vec());
        }
        self.found(line, [prefix, &[ident.to_string()]].concat());
    }

    /// What stands in a macro's call may be anything. Words with `::` between them are a path there, too.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut segments: Vec<String> = Vec::new();
        let (mut line, mut colons, mut is_behind_dot) = (0, 0, false);
        for tree in tokens {
            match tree {
                TokenTree::Ident(ident) if colons == 2 && !segments.is_empty() => segments.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    self.end_path(line, &mut segments);
                    line = ident.span().start().line;
                    if !is_behind_dot {
                        segments.push(ident.to_string());
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    self.end_path(line, &mut segments);
                    self.read_tokens(group.stream());
                }
                TokenTree::Punct(punct) => {
                    self.end_path(line, &mut segments);
                    is_behind_dot = punct.as_char() == '.';
                    colons = 0;
                    continue;
                }
                TokenTree::Literal(_) => self.end_path(line, &mut segments),
            }
            (colons, is_behind_dot) = (0, false);
        }
        self.end_path(line, &mut segments);
    }

    fn end_path(&mut self, line: usize, segments: &mut Vec<String>) {
        let segments = std::mem::take(segments);
        if segments.len() > 1 {
            self.found(line, segments);
        }
    }
}

impl<'ast> Visit<'ast> for PathReader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.read_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.found(path.span().start().line, segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.read_tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.visit_path(&list.path);
        self.read_tokens(list.tokens.clone());
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = |inner: &&Item| !is_test(inner);
        item.content.iter().flat_map(|(_, items)| items).filter(is_test).for_each(|inner| self.visit_item(inner));
    }
}

struct FunctionReader {
    /// The type whose `impl` is read, or the trait.
    container: Option<String>,
    found: Vec<Function>,
}

impl FunctionReader {
    fn found(&mut self, signature: &Signature, block: &Block) {
        let lines = signature.span().start().line..=block.span().end().line;
        let of = self.container.iter().map(|container| format!("{container}::")).collect::<String>();
        let name = format!("{of}{}", signature.ident);
        self.found.push(Function { name, line: *lines.start(), lines: lines.count() });
    }
}

impl<'ast> Visit<'ast> for FunctionReader {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let outer = self.container.replace(type_name(&item.self_ty));
        visit::visit_item_impl(self, item);
        self.container = outer;
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        let outer = self.container.replace(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.container = outer;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.found(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.found(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.found(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

struct StringReader {
    within: RangeInclusive<usize>,
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for StringReader {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        if self.within.contains(&literal.span().start().line) {
            self.found.push(literal.value());
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let Meta::List(list) = &attribute.meta else { return };
        if let Ok(literal) = list.parse_args::<syn::LitStr>() {
            self.visit_lit_str(&literal);
        }
    }
}
