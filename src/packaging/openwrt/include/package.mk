# What the real one has taken in by now, for the stamp of what is prepared.
PKG_FILE_DEPENDS_SEEN := $(PKG_FILE_DEPENDS)
PKG_BUILD_DIR ?= $(DESTDIR)
MAKEFLAGS += --no-print-directory

comma := ,
empty :=
space := $(empty) $(empty)
list = $(subst $(space),$(comma)$(space),$(strip $(1)))
dependencies = $(patsubst +%,%,$(filter-out @%,$(1)))

.PHONY: prepare show
prepare:
	$(Build/Prepare)

show:
	@: $(foreach v,$(sort $(filter PKG_% GO_PKG%,$(.VARIABLES))),$(info $(v): $($(v))))

# 1: name of the package
define BuildPackage
SECTION :=
CATEGORY :=
TITLE :=
DEPENDS :=
CONFLICTS :=
PROVIDES :=
URL :=
$(Package/$(1))
$(1)_depends := $$(call list,libc $$(call dependencies,$$(DEPENDS)))
$(1)_conflicts := $$(call list,$$(CONFLICTS))
$(1)_provides := $$(call list,$$(PROVIDES))
$(1)_section := $$(SECTION)
$(1)_title := $$(TITLE)
$(1)_url := $$(URL)

.PHONY: install-$(1) show-$(1) show-title-$(1) conffiles-$(1) postinst-$(1) postrm-$(1) description-$(1)
install-$(1):
	$$(call Package/$(1)/install,$$(DESTDIR))

# As the control file of an .ipk has them, but what depends on the build.
show-$(1):
	@: $$(info Package: $(1))$$(info Version: $$(PKG_VERSION)-r$$(PKG_RELEASE))$$(info Depends: $$($(1)_depends))\
	$$(if $$($(1)_conflicts),$$(info Conflicts: $$($(1)_conflicts)))$$(if $$($(1)_provides),$$(info Provides: $$($(1)_provides)))\
	$$(info Source: feeds/tunneldigger/openwrt/$$(PKG_NAME))$$(info SourceName: $$(PKG_NAME))\
	$$(info License: $$(PKG_LICENSE))$$(info LicenseFiles: $$(PKG_LICENSE_FILES))$$(info Section: $$($(1)_section))\
	$$(if $$($(1)_url),$$(info URL: $$($(1)_url)))$$(if $$(PKG_MAINTAINER),$$(info Maintainer: $$(PKG_MAINTAINER)))

show-title-$(1):
	@: $$(info $$($(1)_title))

conffiles-$(1):
	@: $$(info $$(Package/$(1)/conffiles))

postinst-$(1):
	@: $$(info $$(Package/$(1)/postinst))

postrm-$(1):
	@: $$(info $$(Package/$(1)/postrm))

description-$(1):
	@: $$(info $$(Package/$(1)/description))
endef
