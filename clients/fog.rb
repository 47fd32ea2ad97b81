# fog-openstack, a client in Ruby, does a server's life: fog.rb FIRST_IMAGE SECOND_IMAGE FLAVOR.
# Prints the server's id.
require "fog/openstack"

first, second, flavor = ARGV
compute = Fog::OpenStack::Compute.new(
  openstack_auth_url: ENV.fetch("OS_AUTH_URL"),
  openstack_username: ENV.fetch("OS_USERNAME"),
  openstack_api_key: ENV.fetch("OS_PASSWORD"),
  openstack_project_name: ENV.fetch("OS_PROJECT_NAME"),
  openstack_domain_id: "default",
)
server = compute.servers.create(name: "fog", image_ref: first, flavor_ref: flavor)
server.wait_for { raise "It is in ERROR." if failed?; ready? }
server.rebuild(second, "fog-rebuilt")
server.wait_for { raise "It is in ERROR." if failed?; ready? }
server = compute.servers.get(server.id)
unless server.image["id"] == second && server.name == "fog-rebuilt"
  abort "The server is #{server.name} on image #{server.image["id"]}."
end
server.destroy
Fog.wait_for { compute.servers.get(server.id).nil? }
puts server.id
