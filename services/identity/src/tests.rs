//! The service as a whole, on a store and a log of its own.

mod closing;
mod coming_back;
mod guardians;
mod harness;
mod secrecy;
mod standing;
mod verifying;
