"""Tests of the plan: channels to cards."""
