# Third-party text: unpacked once by apt (see tools/fetch-sources.sh), then offline.
$(SOURCES_STAMP): tools/sources.manifest tools/fetch-sources.sh
	$(Q)tools/fetch-sources.sh '$(@D)'
