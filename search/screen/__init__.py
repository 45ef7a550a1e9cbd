"""What a terminal shows of a job: lines of text, as many and as long as there is room for."""
