# What LuCI's rules make of an app: what its Makefile adds, and the folders htdocs and root where they belong.
PKG_NAME := $(notdir $(CURDIR))
include $(INCLUDE_DIR)/package.mk

define Package/$(PKG_NAME)
  SECTION:=luci
  TITLE:=$(LUCI_TITLE)
  DEPENDS:=$(LUCI_DEPENDS)
  URL:=$(LUCI_URL)
endef

Package/$(PKG_NAME)/description = $(LUCI_DESCRIPTION)
PKG_MAINTAINER := $(LUCI_MAINTAINER)

define Build/Prepare
	mkdir -p $(PKG_BUILD_DIR)
	$(CP) htdocs root $(PKG_BUILD_DIR)/
	$(Build/Prepare/$(PKG_NAME))
endef

define Package/$(PKG_NAME)/install
	$(INSTALL_DIR) $(1)/www
	$(CP) $(PKG_BUILD_DIR)/htdocs/. $(1)/www/
	$(CP) $(PKG_BUILD_DIR)/root/. $(1)/
endef

# The menu is looked for again, and rpcd takes the new rights.
define Package/$(PKG_NAME)/postinst
[ -n "$${IPKG_INSTROOT}" ] || { \
	rm -f /tmp/luci-indexcache.*
	rm -rf /tmp/luci-modulecache/
	/etc/init.d/rpcd reload 2>/dev/null
	exit 0
}
endef

$(eval $(call BuildPackage,$(PKG_NAME)))
