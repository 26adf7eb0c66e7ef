"""Helpers for the operating system and the Python process.

Modules:
    atomic_write: Atomic writes of files.
    signals: Ctrl-C and SIGTERM as an exception.
    startup: Imports of heavy libraries with the garbage collector paused.
    process_lock: Lock that one process at a time holds.
    memory: Release of unused memory, and how much there is.
    sqlite_address: Addresses of SQLite databases.
    foreign_text: Texts of others, made harmless for terminals, logs, spreadsheets and Markdown.
    redaction: Removal of passwords from texts.
"""
