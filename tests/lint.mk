# `make lint`: style, static checks, layering rules, headers that stand alone, and the other compiler.
# Each check is one line of the report; tests/lint.sh holds them.
.PHONY: lint
lint: | $(SOURCES_STAMP)
	$(Q)B='$(B)' SRC='$(SRC)' MAKE='$(MAKE)' ZYDIS_INC='$(ZYDIS_INC)' tests/lint.sh
