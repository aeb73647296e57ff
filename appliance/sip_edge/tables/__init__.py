"""The tables that Kamailio reads, as this control process writes them: SQLite, PostgreSQL or MySQL by URL."""
