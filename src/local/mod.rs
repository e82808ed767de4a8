//! The Local role: programs of this host talk to the node through a Unix socket.
//!
//! Nothing here decides about trust or work: [`wire`] says what can be asked, `frame` cuts bytes into messages,
//! [`server`] carries requests to the node's driver and replies back, [`client`] is what programs use, [`run`] what a
//! run of tests says. The socket is for the owner of the node only, and requests that change trust carry a cookie that
//! only the owner's files hold.

pub mod client;
mod frame;
pub mod run;
pub mod server;
pub mod wire;
