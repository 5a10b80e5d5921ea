"""What processes of a test do beside running wavecrew: prologues that bend the world, and actors of their own."""

from __future__ import annotations
