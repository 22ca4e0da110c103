"""Which network do these neurons belong to? Answered from the data set's own record."""
