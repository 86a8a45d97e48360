//! Cloakroom from outside: the running program between real clients and real applications.
//!
//! One binary with a module for each subject, because each binary would link everything again.

#![cfg(test)]

mod applications;
mod audit;
mod bad_input;
mod behind_proxies;
mod browser;
mod demonstration;
mod described;
mod doors;
mod example_files;
mod export;
mod form;
mod given;
mod hand_over;
mod index;
mod kits;
mod lemonldap;
mod metrics;
mod migration;
mod nodes;
mod outages;
mod real_application;
mod recovery;
mod reload;
mod sealed;
mod sealing;
mod service_manager;
mod session_limits;
mod sessions;
mod shared_cloakroom;
mod shared_cluster;
mod shared_database;
mod shared_redis;
mod shutdown;
mod smuggling;
mod store;
mod tls;
