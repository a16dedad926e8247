// SPDX-License-Identifier: GPL-2.0

//! The codec against the description of the format, and against images that nobody meant well.

mod document;
mod growth;
mod malformed;
mod properties;
mod raw;
mod streaming;
mod walk;
mod writing;
