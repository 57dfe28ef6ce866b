//! Where connections may come from, who speaks for whom, and what each address may do.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::values::{count, count_u32};
use crate::gate::{Network, TrustedProxy};
use crate::limits::Limits;

/// See the module.
#[derive(Debug, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct AddressFlags {
    /// Believe a proxy at this address, or in this network, when it says for whom it connects: a CIDR like 10.0.0.0/8, or
    /// "unix" for all that connect to a socket file. May be given more than once. X-Forwarded-For is read from right
    /// to left, past trusted proxies
    #[arg(long, env = "ROOMD_TRUSTED_PROXY", value_name = "CIDR|unix", value_delimiter = ',')]
    pub(crate) trusted_proxy: Vec<TrustedProxy>,

    /// Expect a header of the PROXY protocol, version 1 or 2, at the beginning of each connection from a trusted proxy;
    /// without it, the connection is refused with 400
    #[arg(long, env = "ROOMD_PROXY_PROTOCOL", value_parser = FalseyValueParser::new())]
    pub(crate) proxy_protocol: bool,

    /// Connections of one address at once; of IPv6, of one /64. More are answered 429. This machine and trusted proxies are
    /// exempt, and those for whom a proxy speaks are counted instead
    #[arg(long, env = "ROOMD_MAX_PER_ADDRESS", value_name = "COUNT", default_value_t = Limits::DEFAULT.max_per_address, value_parser = count)]
    pub(crate) max_per_address: usize,

    /// New connections one address may make at once; more are answered 429. A visit of the page is up to
    /// seven; behind a trusted proxy, where each request counts as one, it is a dozen
    #[arg(long, env = "ROOMD_CONNECT_BURST", value_name = "COUNT", default_value_t = Limits::CONNECT_RATE.burst, value_parser = count_u32)]
    pub(crate) connect_burst: u32,

    /// New connections a second one address may make in the long run
    #[arg(long, env = "ROOMD_CONNECT_RATE", value_name = "COUNT", default_value_t = Limits::CONNECT_RATE.per_second, value_parser = count_u32)]
    pub(crate) connect_rate: u32,

    /// Handshakes of one address that may fail at once; then all its new connections are answered 429
    #[arg(long, env = "ROOMD_FAILURE_BURST", value_name = "COUNT", default_value_t = Limits::FAILURE_RATE.burst, value_parser = count_u32)]
    pub(crate) failure_burst: u32,

    /// Handshakes a second of one address that may fail in the long run
    #[arg(long, env = "ROOMD_FAILURE_RATE", value_name = "COUNT", default_value_t = Limits::FAILURE_RATE.per_second, value_parser = count_u32)]
    pub(crate) failure_rate: u32,

    /// Do not count the connections of this address or network: an office or a school behind one address. May be given
    /// more than once
    #[arg(long, env = "ROOMD_EXEMPT_ADDRESS", value_name = "CIDR", value_delimiter = ',')]
    pub(crate) exempt_address: Vec<Network>,
}
