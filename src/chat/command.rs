//! What a line means: something said, or a command.

use std::fmt;

use super::position::message_id;
use super::text;
use crate::limits::fixed::MAX_PING_TOKEN_BYTES;

/// What begins a command: the slash, its full-width form, which people type whose keyboard is set for Chinese or
/// Japanese, and what looks just like a slash. Nobody begins a sentence with one of these, and a command that is not
/// recognised tells the whole room what was meant for one member.
const SLASHES: [char; 5] = ['/', '\u{FF0F}', '\u{2044}', '\u{2215}', '\u{29F8}'];

/// What somebody gets who means a slash: the key of the slash gives the first four on keyboards that are set for Chinese or
/// Japanese, the backslashes and the others are beside it, or need one key more or less; and two that look like a slash. A
/// sentence or a list may begin with them, so only a private message behind one is taken for a slip.
const SLIPS: [char; 12] =
    ['、', '\u{FF64}', '・', '\u{FF65}', '\\', '\u{FF3C}', '?', '\u{FF1F}', '.', '\u{3002}', '\u{2571}', '\u{27CB}'];

/// One line from a client, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken<'a> {
    /// An empty line. Nobody needs to hear of it.
    Nothing,
    /// Said to the room.
    Say(&'a str),
    /// `/me`: done in the room.
    Act(&'a str),
    /// Anything else that begins with a slash.
    Command(Command),
}

/// What a member asks for. What it names is not checked here: that is done when the command is.
///
/// It owns its words, for it is handed on when the line is read no longer: commands are rare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `/nick`: wants to be called so.
    Nick(String),
    /// `/join`: wants to go to that room.
    Join(String),
    /// `/msg`: said to one member.
    Private {
        /// Whom.
        to: String,
        /// What.
        text: String,
    },
    /// `/who`: wants to know who is here.
    Who,
    /// `/help`: wants [`HELP`].
    Help,
    /// `/ping`: wants to know that it is heard.
    Ping {
        /// What the answer is to repeat, perhaps nothing.
        token: String,
    },
    /// `/history`: wants older messages.
    History {
        /// Those with smaller ids than this one.
        before: u64,
    },
}

/// Why a line that begins with a slash, or with a slip for one, could not be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCommand {
    /// There is no such command.
    Unknown,
    /// There is, but not with these arguments. Here is how to write it.
    Arguments(&'static str),
    /// A private message, as it seems, with another sign for its slash.
    Slip,
}

/// A row of the table of commands.
struct Row {
    /// Without the slash, in small letters.
    word: &'static str,
    usage: &'static str,
    /// Understands what stands behind the word, from the first character that is no white space. None: it makes no sense.
    read: for<'a> fn(&'a str) -> Option<Spoken<'a>>,
}

/// The table, and the text of `/help` out of the same rows, so that none is forgotten in the other.
macro_rules! commands {
    ($($word:literal, $arguments:literal, $read:path, $sentence:literal;)*) => {
        const COMMANDS: &[Row] =
            &[$(Row { word: $word, usage: concat!("/", $word, $arguments), read: $read }),*];

        /// The text of `/help`: a line for each command.
        pub const HELP: &str = concat!(
            "What begins with a slash is a command:",
            $("\n/", $word, $arguments, " - ", $sentence,)*
            "\n//TEXT - say something that begins with a slash"
        );
    };
}

commands! {
    "nick", " NAME", nick, "change your name";
    "join", " ROOM", join, "go to another room";
    "msg", " NAME TEXT", private, "tell one member only; a name with spaces goes in double quotes";
    "me", " ACTION", act, "do something rather than say it";
    "who", "", who, "list who is here";
    "history", " BEFORE", history, "show older messages, those with ids below BEFORE";
    "ping", " TOKEN", ping, "see that you are heard; the TOKEN is optional and comes back";
    "help", "", help, "show this";
}

impl<'a> Spoken<'a> {
    /// Understands one line. The newline that ended it does not count.
    ///
    /// # Errors
    /// If the first character that can be seen is a slash, and it is no command; or a slip for the slash of `/msg`.
    pub fn parse(line: &'a str) -> Result<Spoken<'a>, BadCommand> {
        let line = without_newline(line);
        let seen = visible(line);
        let Some(command) = seen.strip_prefix(SLASHES) else {
            return match seen.chars().next() {
                None if line.is_empty() => Ok(Spoken::Nothing),
                Some(first) if !first.is_ascii_alphanumeric() && is_slip(seen) => Err(BadCommand::Slip),
                _ => Ok(Spoken::Say(line)),
            };
        };
        if command.starts_with(SLASHES) {
            return Ok(Spoken::Say(command));
        }
        let (word, arguments) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let known = COMMANDS.iter().find(|known| known.is_called(word)).ok_or(BadCommand::Unknown)?;
        (known.read)(arguments.trim_start()).ok_or(BadCommand::Arguments(known.usage))
    }
}

impl Row {
    /// In any case, and in full-width letters as well: a keyboard that types a full-width slash types these, too.
    fn is_called(&self, word: &str) -> bool {
        word.chars().map(|letter| narrow(letter).to_ascii_lowercase()).eq(self.word.chars())
    }
}

/// Whether a line is `、msg Bob secret`: most likely not meant for the room.
fn is_slip(seen: &str) -> bool {
    let command = seen.strip_prefix(SLIPS).and_then(|command| command.split_once(char::is_whitespace));
    command.is_some_and(|(word, arguments)| {
        let private = COMMANDS.iter().find(|known| known.word == "msg");
        private.is_some_and(|private| private.is_called(word) && (private.read)(arguments.trim_start()).is_some())
    })
}

/// The ASCII character of which this is the full-width form; any other stays.
fn narrow(character: char) -> char {
    match character {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(character as u32 - 0xFEE0).unwrap_or(character),
        _ => character,
    }
}

/// `line` from the first character that can be seen. What stands before it, a person has not typed on purpose, or has
/// typed to hide something.
fn visible(line: &str) -> &str {
    // Nearly every line, and no table is asked.
    if line.starts_with(|first: char| first.is_ascii_graphic()) {
        return line;
    }
    line.trim_start_matches(|character| !text::is_visible(character))
}

/// websocat sends the newline that ended the line; a message does not have it.
#[must_use]
pub fn without_newline(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

impl fmt::Display for BadCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadCommand::Unknown => f.write_str(
                "There is no such command; /help lists them. To say it all the same, begin with two slashes.",
            ),
            BadCommand::Slip => f.write_str(
                "That looks like /msg with another sign for its slash, so nobody was told. To say it all the same, write a \
                 space behind the sign.",
            ),
            BadCommand::Arguments(usage) => write!(f, "Write it like this: {usage}"),
        }
    }
}

// ---- What stands behind each word ------------------------------------------------------------------------------------

fn nick(arguments: &str) -> Option<Spoken<'_>> {
    command(Command::Nick(some(arguments.trim_end())?.to_owned()))
}

fn join(arguments: &str) -> Option<Spoken<'_>> {
    command(Command::Join(some(arguments.trim_end())?.to_owned()))
}

fn act(arguments: &str) -> Option<Spoken<'_>> {
    some(arguments).map(Spoken::Act)
}

fn private(arguments: &str) -> Option<Spoken<'_>> {
    let (to, text) = match arguments.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (to, text) = arguments.split_once(char::is_whitespace)?;
            (to.to_owned(), text)
        }
    };
    let text = some(text.trim_start())?.to_owned();
    some(&to)?;
    command(Command::Private { to, text })
}

fn who(arguments: &str) -> Option<Spoken<'_>> {
    if arguments.is_empty() { command(Command::Who) } else { None }
}

fn help(arguments: &str) -> Option<Spoken<'_>> {
    if arguments.is_empty() { command(Command::Help) } else { None }
}

fn ping(arguments: &str) -> Option<Spoken<'_>> {
    let token = arguments.trim_end();
    if token.len() <= MAX_PING_TOKEN_BYTES { command(Command::Ping { token: token.to_owned() }) } else { None }
}

fn history(arguments: &str) -> Option<Spoken<'_>> {
    command(Command::History { before: message_id(arguments.trim_end())? })
}

fn command(command: Command) -> Option<Spoken<'static>> {
    Some(Spoken::Command(command))
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The name that began behind a double quote, and what follows behind the space after the other quote. `\"` and `\\`
/// stand for the second character; any other use of a backslash is a mistake, for it could mean either.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (plain, special) = rest.split_at_checked(rest.find(['"', '\\'])?)?;
        name += plain;
        if let Some(behind) = special.strip_prefix('"') {
            let text = behind.strip_prefix(char::is_whitespace)?;
            return Some((name, text));
        }
        let escaped = special.strip_prefix('\\')?;
        let (character, behind) = escaped.split_at_checked(1)?;
        if !matches!(character, "\"" | "\\") {
            return None;
        }
        name += character;
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn done(command: Command) -> Result<Spoken<'static>, BadCommand> {
        Ok(Spoken::Command(command))
    }

    fn private_to(to: &str, text: &str) -> Result<Spoken<'static>, BadCommand> {
        done(Command::Private { to: to.into(), text: text.into() })
    }

    #[test]
    fn each_command_is_understood_in_any_case() {
        let rows = [
            ("/nick Alice B.", done(Command::Nick("Alice B.".into()))),
            ("/NICK  Alice \r\n", done(Command::Nick("Alice".into()))),
            ("/join 汉字", done(Command::Join("汉字".into()))),
            ("/me waves", Ok(Spoken::Act("waves"))),
            ("/Me\twaves  at all ", Ok(Spoken::Act("waves  at all "))),
            ("/msg bob hi there", private_to("bob", "hi there")),
            ("/who", done(Command::Who)),
            ("/who ", done(Command::Who)),
            ("/hElP\n", done(Command::Help)),
            ("/ping", done(Command::Ping { token: "".into() })),
            ("/Ping  a token \n", done(Command::Ping { token: "a token".into() })),
            ("/history 17", done(Command::History { before: 17 })),
            ("/history 18446744073709551615 ", done(Command::History { before: u64::MAX })),
        ];
        for (line, expected) in rows {
            assert_eq!(Spoken::parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_name_with_spaces_goes_in_double_quotes() {
        let rows = [
            (r#"/msg "Tourist 5" hello"#, "Tourist 5", "hello"),
            (r#"/msg   "Tourist 5"   two words"#, "Tourist 5", "two words"),
            (r#"/msg "a\"b\\c" x"#, r#"a"b\c"#, "x"),
            (r#"/msg "汉 \\" "quoted""#, r"汉 \", r#""quoted""#),
            (r#"/msg a"b\c x"#, r#"a"b\c"#, "x"),
        ];
        for (line, to, text) in rows {
            assert_eq!(Spoken::parse(line), private_to(to, text), "{line}");
        }
    }

    #[test]
    fn arguments_that_make_no_sense_are_answered_with_how_to_write_it() {
        let rows = [
            ("/nick NAME", &["/nick", "/nick ", "/nick \n"][..]),
            ("/join ROOM", &["/join", "/join\t"]),
            ("/me ACTION", &["/me", "/me   "]),
            (
                "/msg NAME TEXT",
                &["/msg", "/msg bob", "/msg bob ", r#"/msg "bob" "#, r#"/msg "bob hi"#, r#"/msg "" hi"#],
            ),
            (
                "/msg NAME TEXT",
                &[r#"/msg "bob"hi"#, r#"/msg "b\ob" hi"#, r#"/msg "b\"#, r#"/msg ""#, r#"/msg "\汉" x"#],
            ),
            ("/who", &["/who is it"]),
            ("/help", &["/help me"]),
            ("/history BEFORE", &["/history", "/history x", "/history -1", "/history +1", "/history 1 2"]),
            ("/history BEFORE", &["/history 18446744073709551616"]),
        ];
        for (usage, lines) in rows {
            for line in lines {
                assert_eq!(Spoken::parse(line), Err(BadCommand::Arguments(usage)), "{line}");
            }
        }
    }

    #[test]
    fn a_ping_carries_as_much_as_a_ping_frame_and_no_more() {
        let (longest, too_long) = ("x".repeat(125), format!("/ping {}", "汉".repeat(42)));
        assert_eq!(Spoken::parse(&format!("/ping {longest}")), done(Command::Ping { token: longest.clone() }));
        assert_eq!(Spoken::parse(&too_long), Err(BadCommand::Arguments("/ping TOKEN")), "126 bytes");
    }

    #[test]
    fn what_is_no_command_is_unknown() {
        for line in ["/", "/ who", "/\n", "/whom", "/wh", "/ẃho", "/nick_name x", "/\"who\"", "/msgBob x", "/me/x"] {
            assert_eq!(Spoken::parse(line), Err(BadCommand::Unknown), "{line}");
        }
    }

    #[test]
    fn an_empty_line_is_nothing_and_a_blank_one_is_said() {
        for line in ["", "\n", "\r\n"] {
            assert_eq!(Spoken::parse(line), Ok(Spoken::Nothing), "{line:?}");
        }
        let said = [
            (" ", " "),
            ("\n\n", "\n"),
            ("\r", "\r"),
            (" a /who", " a /who"),
            ("a\n/who\n", "a\n/who"),
            ("\u{301}", "\u{301}"),
        ];
        for (line, text) in said {
            assert_eq!(Spoken::parse(line), Ok(Spoken::Say(text)), "{line:?}");
        }
    }

    /// What would be said to the whole room otherwise, and was meant for one.
    #[test]
    fn a_line_whose_first_visible_character_is_a_slash_is_a_command() {
        let unseen = [
            " ",
            "\t",
            "\n",
            "\r\n",
            "\u{B}",
            "\u{C}",
            "\0",
            "\u{1B}",
            "\u{7F}",
            "\u{FFFC}",
            "\u{85}",
            "\u{A0}",
            "\u{AD}",
            "\u{1680}",
            "\u{2003}",
            "\u{2028}",
            "\u{2029}",
            "\u{202F}",
            "\u{3000}",
            "\u{034F}",
            "\u{061C}",
            "\u{115F}",
            "\u{1160}",
            "\u{17B4}",
            "\u{180B}",
            "\u{180E}",
            "\u{200B}",
            "\u{200C}",
            "\u{200D}",
            "\u{200E}",
            "\u{200F}",
            "\u{202A}",
            "\u{202E}",
            "\u{2060}",
            "\u{2064}",
            "\u{2065}",
            "\u{2066}",
            "\u{2069}",
            "\u{206F}",
            "\u{2800}",
            "\u{3164}",
            "\u{FE0F}",
            "\u{FEFF}",
            "\u{FFA0}",
            "\u{FFF0}",
            "\u{FFF9}",
            "\u{1BCA0}",
            "\u{1D159}",
            "\u{1D173}",
            "\u{E0001}",
            "\u{E0020}",
            "\u{E0100}",
            "\u{E01EF}",
            "\u{301}",
            "\u{20DD}",
            "\u{93E}",
            "\u{301}\u{308} \n\u{200B}",
        ];
        for before in unseen {
            let line = format!("{before}/msg Bob secret");
            assert_eq!(Spoken::parse(&line), private_to("Bob", "secret"), "{line:?}");
            assert_eq!(Spoken::parse(&format!("{before}/me waves")), Ok(Spoken::Act("waves")), "{before:?}");
            assert_eq!(Spoken::parse(&format!("{before}/msgBob secret")), Err(BadCommand::Unknown), "{before:?}");
            assert_eq!(Spoken::parse(&format!("{before}//who")), Ok(Spoken::Say("/who")), "{before:?}");
        }
    }

    #[test]
    fn what_looks_like_a_slash_is_one_and_full_width_letters_are_understood() {
        for slash in SLASHES {
            assert_eq!(Spoken::parse(&format!("{slash}msg Bob secret")), private_to("Bob", "secret"), "{slash}");
            assert_eq!(
                Spoken::parse(&format!("\u{3000}{slash}MSG Bob secret")),
                private_to("Bob", "secret"),
                "{slash}"
            );
            let escaped = format!("{slash}{slash}x");
            assert_eq!(Spoken::parse(&escaped), Ok(Spoken::Say(&format!("{slash}x"))));
        }
        for line in [
            "／ｍｓｇ\u{3000}Bob\u{3000}secret",
            "／ＭＳＧ\u{A0}Bob\tsecret",
            "/msg\nBob\nsecret",
            "/MsG\u{2003}Bob secret",
        ] {
            assert_eq!(Spoken::parse(line), private_to("Bob", "secret"), "{line:?}");
        }
    }

    /// Not understood, but not said either.
    #[test]
    fn a_private_message_with_a_slip_for_its_slash_is_refused_and_not_said() {
        for slip in SLIPS {
            for line in ["msg Bob secret", "MSG\u{3000}Bob secret", "ｍｓｇ \"Mary Ann\" secret"] {
                assert_eq!(Spoken::parse(&format!("{slip}{line}")), Err(BadCommand::Slip), "{slip}{line}");
                assert_eq!(Spoken::parse(&format!("\u{FEFF} {slip}{line}\n")), Err(BadCommand::Slip), "{slip}{line}");
            }
            for line in [" msg Bob secret", "msg Bob", "msg", "msgs for Bob", "me too", "", "who is here"] {
                let line = format!("{slip}{line}");
                assert_eq!(Spoken::parse(&line), Ok(Spoken::Say(&line)));
            }
        }
        for line in
            ["\"msg me later\" he said", "*msg me later*", "msg Bob secret", "、、msg Bob secret", "……msg Bob x"]
        {
            assert_eq!(Spoken::parse(line), Ok(Spoken::Say(line)));
        }
    }

    #[test]
    fn what_cannot_be_seen_behind_the_slash_makes_an_unknown_command_and_no_message() {
        for line in [
            "/\u{200B}msg Bob x",
            "/msg\u{200B}Bob x",
            "/msg\u{2060} Bob x",
            "/\u{338}msg Bob x",
            "/ msg Bob x",
            "／\u{3000}msg Bob x",
        ] {
            assert_eq!(Spoken::parse(line), Err(BadCommand::Unknown), "{line:?}");
        }
    }

    #[test]
    fn two_slashes_say_one() {
        assert_eq!(Spoken::parse("//who\n"), Ok(Spoken::Say("/who")));
        assert_eq!(Spoken::parse("//"), Ok(Spoken::Say("/")));
        assert_eq!(Spoken::parse("///"), Ok(Spoken::Say("//")));
    }

    /// The help is a promise to people; this is its golden copy.
    #[test]
    fn the_help_lists_every_command() {
        let expected = [
            "What begins with a slash is a command:",
            "/nick NAME - change your name",
            "/join ROOM - go to another room",
            "/msg NAME TEXT - tell one member only; a name with spaces goes in double quotes",
            "/me ACTION - do something rather than say it",
            "/who - list who is here",
            "/history BEFORE - show older messages, those with ids below BEFORE",
            "/ping TOKEN - see that you are heard; the TOKEN is optional and comes back",
            "/help - show this",
            "//TEXT - say something that begins with a slash",
        ];
        assert_eq!(HELP.lines().collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn no_line_is_a_panic(line in any::<String>(), command in "/(msg|nick|me|history|who)[ \"\\\\ab汉0-9\n\r\t]{0,12}") {
            let _ = Spoken::parse(&line);
            let _ = Spoken::parse(&command);
        }

        #[test]
        fn what_does_not_begin_with_a_slash_is_said_unchanged(text in "[^/／⁄∕⧸\\pZ\\pC\\pM\u{2800}\u{115F}\u{1160}\u{3164}\u{FFA0}\u{1D159}](?s:.{0,40})[^\r\n]|[ \u{A0}\u{3000}\u{200B}]{0,9}[aя汉][^\r\n]") {
            prop_assert_eq!(Spoken::parse(&text), Ok(Spoken::Say(&text)));
            for line in [format!("{text}\n"), format!("{text}\r\n")] {
                prop_assert_eq!(Spoken::parse(&line), Ok(Spoken::Say(&text)));
            }
        }

        #[test]
        fn an_extra_slash_in_front_of_a_slash_is_taken_off_again(text in "[/／](?s:.{0,40})[^\r\n]") {
            let line = format!("/{text}");
            prop_assert_eq!(Spoken::parse(&line), Ok(Spoken::Say(&text)));
        }

        #[test]
        fn a_name_survives_its_quotes(name in "\\PC{1,20}|[\"\\\\ a]{1,8}", text in "[^\\s](?s:.{0,10})[^\r\n]") {
            let quoted = name.replace('\\', r"\\").replace('"', r#"\""#);
            let line = format!("/msg \"{quoted}\" {text}");
            prop_assert_eq!(Spoken::parse(&line), private_to(&name, &text));
        }
    }
}
